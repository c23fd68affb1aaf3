"""Writes every fixture again: `python tools/golden/make.py`."""

import aoa
import classification
import classifier
import divergences
import losses
import masked
import models
import ops
import schedules
import significance

if __name__ == "__main__":
    first = (models, masked, classifier, classification)
    for writer in (*first, losses, ops, divergences, schedules, significance, aoa):
        writer.main()
