"""Writes every fixture again: `python tools/golden/make.py`."""

import classifier
import divergences
import losses
import masked
import models
import ops
import schedules
import vocabulary_files

if __name__ == "__main__":
    for writer in (models, masked, classifier, losses, ops, divergences, schedules, vocabulary_files):
        writer.main()
