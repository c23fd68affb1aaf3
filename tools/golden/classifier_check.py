"""Checks a classifier's folder with transformers: `python tools/golden/classifier_check.py FOLDER [--logits FILE]`.

The folder must load as a sequence classifier without a missing or a left-over weight. FILE is a safetensors file with
`ids` (end to end), `lengths` and `logits` (one row of labels per sequence) as our program computed them; transformers
reads the same sequences padded on the right. Ends with status 1 when something differs.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, logging


def load_model(folder):
    """The classifier in f32, or an end with the names of weights that do not fit."""
    load = AutoModelForSequenceClassification.from_pretrained
    model, info = load(folder, dtype=torch.float32, output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[problem]:
            sys.exit(f"{folder}: {problem.replace('_', ' ')}: {sorted(map(str, info[problem]))}")
    print(f"{folder}: {type(model).__name__}, {model.num_parameters():,} parameters, labels {model.config.id2label}")
    return model.eval()


def compare_logits(model, path, tolerance):
    """Compares stored logits with the model's own; the difference is relative to the largest logit."""
    stored = load_file(path)
    lengths = stored["lengths"].long()
    sequences = stored["ids"].long().split(lengths.tolist())
    pad = model.config.pad_token_id
    ids = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=pad)
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    expected = model(input_ids=ids, attention_mask=mask.long()).logits
    difference = (stored["logits"].reshape(expected.shape) - expected).abs().max() / expected.abs().max()
    print(f"logits of {len(sequences)} sequences: largest difference {difference:.2e} of the largest logit")
    if not difference <= tolerance:  # so that NaN fails too
        sys.exit(f"{path}: the difference is above {tolerance:.0e}")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--logits", type=Path, metavar="FILE", help="safetensors with `ids`, `lengths` and `logits`")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = load_model(options.folder)
    if options.logits:
        compare_logits(model, options.logits, options.tolerance)


if __name__ == "__main__":
    main()
