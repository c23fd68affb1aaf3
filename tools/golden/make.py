"""Writes the fixtures again, but for those of words.py, sweep_algorithms.py and optuna_store.py:
`python tools/golden/make.py`."""

import aoa
import challenge
import challenge_aoa
import classification
import classifier
import divergences
import elc_bert
import gpt_bert
import losses
import ltg_bert
import masked
import models
import ops
import optimizers
import reading
import schedules
import significance
import switch
import t5
import vocabulary_files

if __name__ == "__main__":
    first = (
        models, switch, masked, ltg_bert, elc_bert, gpt_bert, t5, classifier, classification, losses,
        ops, divergences, schedules,
    )
    for writer in (
        *first, optimizers, vocabulary_files, significance, aoa, reading, challenge, challenge_aoa,
    ):
        writer.main()
