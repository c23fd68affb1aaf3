"""Writes every fixture again: `python tools/golden/make.py`."""

import classification
import classifier
import divergences
import losses
import masked
import models
import ops
import schedules
import vocabulary_files

if __name__ == "__main__":
    writers = (models, masked, classifier, classification, losses, ops, divergences, schedules, vocabulary_files)
    for writer in writers:
        writer.main()
