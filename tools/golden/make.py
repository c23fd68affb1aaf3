"""Writes every fixture again: `python tools/golden/make.py`."""

import aoa
import classifier
import divergences
import losses
import masked
import models
import ops
import schedules
import significance

if __name__ == "__main__":
    for writer in (models, masked, classifier, losses, ops, divergences, schedules, significance, aoa):
        writer.main()
