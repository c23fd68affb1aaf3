"""Checks an exported folder with transformers: `python tools/golden/check_export.py FOLDER [--logits FILE]`.

The folder must load without a missing or a left-over weight. FILE is a safetensors file with `ids` ([tokens] or
[sequences, tokens]) and `logits` (one row of the vocabulary per id, flat over sequences or not) as babyllama computed
them, and of an encoder-decoder what its encoder read as `encoder_ids` in the metadata; without it, the most likely next
token of a few ids is printed. Ends with status 1 when something differs, or transformers has no class for the folder.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, logging

SENTENCE = "The cat that saw the dogs has slept."


def load_model(folder):
    """The model in f32, or an end with the names of weights that do not fit."""
    try:
        config = AutoConfig.from_pretrained(folder)
    except ValueError:
        sys.exit(f"{folder}: transformers has no class for it")
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model, info = kind.from_pretrained(folder, torch_dtype=torch.float32, output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[problem]:
            sys.exit(f"{folder}: {problem.replace('_', ' ')}: {sorted(map(str, info[problem]))}")
    if getattr(model.config, "num_experts", 0) and hasattr(model, "set_experts_implementation"):
        # The product of all experts at once is refused where rows are no multiple of 16 bytes.
        model.set_experts_implementation("eager")
    print(f"{folder}: {type(model).__name__}, {model.num_parameters():,} parameters")
    return model.eval()


def check_tokenizer(folder, vocab_size):
    """Loads the folder's tokenizer, if it has one, and shows how it cuts a sentence."""
    if not (folder / "tokenizer.json").exists():
        return print("no tokenizer.json in the folder")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(SENTENCE)["input_ids"]
    print(f"tokenizer of {len(tokenizer)}: {SENTENCE!r} -> {ids} -> {tokenizer.decode(ids)!r}")
    if len(tokenizer) > vocab_size:
        sys.exit(f"the tokenizer has {len(tokenizer)} tokens, the model {vocab_size}")


def inputs(model, ids, path):
    """What the model reads for the logits of `ids`."""
    if not model.config.is_encoder_decoder:
        return dict(input_ids=ids)
    with safe_open(path, "numpy") as file:
        encoder_ids = [int(word) for word in file.metadata()["encoder_ids"].split()]
    return dict(input_ids=torch.tensor([encoder_ids]), decoder_input_ids=ids)


def compare_logits(model, path, tolerance):
    """Compares stored logits with the model's own; the difference is relative to the largest logit."""
    stored = load_file(path)
    ids = torch.from_numpy(np.atleast_2d(stored["ids"]).astype(np.int64))
    expected = model(**inputs(model, ids, path)).logits
    found = torch.from_numpy(stored["logits"].astype(np.float32))
    if found.numel() != expected.numel():
        sys.exit(f"{path}: logits of shape {list(found.shape)} do not fit {list(expected.shape)}")
    difference = (found.reshape(expected.shape) - expected).abs().max() / expected.abs().max()
    print(f"logits of {ids.numel()} tokens: largest difference {difference:.2e} of the largest logit")
    if not difference <= tolerance:  # so that NaN fails too
        sys.exit(f"{path}: the difference is above {tolerance:.0e}")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--logits", type=Path, metavar="FILE", help="safetensors with `ids` and `logits`")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = load_model(options.folder)
    check_tokenizer(options.folder, model.config.vocab_size)
    if options.logits:
        compare_logits(model, options.logits, options.tolerance)
    elif not model.config.is_encoder_decoder:
        ids = torch.arange(3, min(model.config.vocab_size, 11))
        print(f"after each of {ids.tolist()}: {model(input_ids=ids[None]).logits[0].argmax(-1).tolist()}")


if __name__ == "__main__":
    main()
