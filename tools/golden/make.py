"""Writes every fixture again: `python tools/golden/make.py`."""

import classification
import classifier
import divergences
import losses
import masked
import models
import ops
import schedules

if __name__ == "__main__":
    for writer in (models, masked, classifier, classification, losses, ops, divergences, schedules):
        writer.main()
