"""Trains the same models on the same batches with babyllama and with PyTorch, and compares them step by step.

    python tools/golden/peer_parity.py --babyllama target/release/babyllama --peer hf_train.py [--tokens FILE.bin]

The peer is a script that trains Hugging Face folders with PyTorch and prints one JSON line per step; it is not part of
this repository. FILE is a flat little-endian u16 token file; without it, or where it is too short, tokens are drawn.
Pretrains a GPT-2, a LLaMA and a LLaMA with grouped heads, and distils a LLaMA from two teachers with both
normalisations, each from the same start weights. Ends with status 1 if a loss, gradient norm or learning rate differs
by more than the tolerance.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, logging

VOCAB_SIZE, BATCH_SIZE, SEQUENCE_LENGTH = 2000, 8, 64
LEARNING_RATE, WARMUP_STEPS, CLIP = 3e-4, 5, 1.0
WEIGHT_DECAY = 5.0  # so strong that decaying the wrong parameters shows within the run
TEMPERATURE, ALPHA = 2, 0.5
TEACHERS = ("teacher-gpt2", "teacher-llama")

# name of the case -> start model, normalisation of the divergence (none: plain pretraining)
CASES = {
    "pretrain gpt2": ("gpt2", None),
    "pretrain llama": ("llama", None),
    "pretrain llama-grouped": ("llama-grouped", None),
    "distill token": ("llama", "token"),
    "distill batchmean": ("llama", "batchmean"),
}
# our name of a number in metrics.jsonl -> the peer's
COMPARED = {"loss": "loss", "cross_entropy": "ce", "kl": "kl", "gradient_norm": "grad_norm", "learning_rate": "lr"}


def write_models(folder):
    """Start weights of every model and teacher. Teachers are drawn wider, so that they have opinions to hand on."""
    tokens = dict(vocab_size=VOCAB_SIZE, bos_token_id=1, eos_token_id=2)
    dropout = dict(embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0)
    gpt2 = GPT2Config(n_embd=128, n_layer=4, n_head=4, n_positions=SEQUENCE_LENGTH, **dropout, **tokens)
    shape = dict(hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=344)
    shape |= dict(max_position_embeddings=SEQUENCE_LENGTH, pad_token_id=0) | tokens
    llama, grouped = LlamaConfig(**shape), LlamaConfig(num_key_value_heads=2, **shape)
    models = {"gpt2": gpt2, "llama": llama, "llama-grouped": grouped, "teacher-gpt2": gpt2, "teacher-llama": llama}
    for seed, (name, config) in enumerate(models.items()):
        torch.manual_seed(seed)
        config.initializer_range = 0.1 if name in TEACHERS else 0.02
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder / name)


def write_tokens(source, path, count):
    """Exactly `count` tokens, none of them padding: the start of `source` folded into the vocabulary, or drawn."""
    tokens = np.fromfile(source, dtype="<u2") if source else np.empty(0, dtype="<u2")
    if len(tokens) < count:
        print(f"drawing {count} tokens" + (f", for {source} holds {len(tokens)}" if source else ""))
        tokens = np.random.default_rng(0).zipf(1.2, size=count)
    (tokens[:count] % (VOCAB_SIZE - 1) + 1).astype("<u2").tofile(path)


def run(command):
    """The command's standard output; its errors, and an end, when it fails."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {result.returncode}:\n{result.stderr.strip()}")
    return result.stdout


def run_peer(options, folder, model, kl):
    """The peer's steps, in order."""
    command = [sys.executable, options.peer, "--model", folder / model, "--tokens", folder / "tokens.bin"]
    command += ["--seq", SEQUENCE_LENGTH, "--batch", BATCH_SIZE, "--steps", options.steps, "--device", "cpu"]
    command += ["--lr", LEARNING_RATE, "--warmup", WARMUP_STEPS, "--weight-decay", WEIGHT_DECAY, "--clip", CLIP]
    if kl:
        command += [word for name in TEACHERS for word in ("--teacher", folder / name)]
        command += ["--kl", kl, "--temperature", TEMPERATURE, "--alpha", ALPHA]
    lines = run(command).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def run_babyllama(options, folder, model, kl):
    """babyllama's steps, in order."""
    output = folder / f"babyllama-{model}-{kl}"
    command = [options.babyllama, "distill" if kl else "pretrain", "--model", folder / model]
    command += ["--tokens", folder / "tokens.bin", "--raw-tokens", "--output", output]
    if kl:
        command += [word for name in TEACHERS for word in ("--teacher", folder / name)]
        command += ["--kl", kl, "--temperature", TEMPERATURE, "--alpha", ALPHA]
    settings = dict(
        order="file",
        epochs=1,
        max_steps=options.steps,
        batch_size=BATCH_SIZE,
        sequence_length=SEQUENCE_LENGTH,
        learning_rate=LEARNING_RATE,
        warmup_steps=WARMUP_STEPS,
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=CLIP,
    )
    run(command + [word for key, value in settings.items() for word in ("--set", f"{key}={value}")])
    events = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "step"]


def compare(ours, theirs, steps, kl, tolerance):
    """Complaints about the two runs, and the worst relative difference of each number."""
    if [step["step"] for step in ours] != list(range(1, steps + 1)) or len(theirs) != steps:
        return [f"{len(ours)} steps of babyllama and {len(theirs)} of the peer, not 1 to {steps}"], {}
    complaints, worst = [], {}
    for name, peer_name in COMPARED.items():
        if not kl and name in ("cross_entropy", "kl"):
            continue
        pairs = [(our_step.get(name, math.nan), their_step[peer_name]) for our_step, their_step in zip(ours, theirs)]
        differences = [abs(a - b) / max(abs(b), 1e-12) for a, b in pairs]
        worst[name] = max(differences, key=lambda difference: (math.isnan(difference), difference))
        # not `>`, so that NaN fails too
        first = next((step for step, difference in enumerate(differences) if not difference <= tolerance), None)
        if first is not None:
            complaints.append(f"step {first + 1}: {name} is {pairs[first][0]}, the peer's {pairs[first][1]}")
    return complaints, worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--babyllama", type=Path, required=True, help="the program")
    parser.add_argument("--peer", type=Path, required=True, help="hf_train.py")
    parser.add_argument("--tokens", type=Path, help="raw u16 token file")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest relative difference (default 1e-3)")
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_models(folder)
        write_tokens(options.tokens, folder / "tokens.bin", options.steps * BATCH_SIZE * SEQUENCE_LENGTH)
        for case, (model, kl) in CASES.items():
            theirs = run_peer(options, folder, model, kl)
            ours = run_babyllama(options, folder, model, kl)
            complaints, worst = compare(ours, theirs, options.steps, kl, options.tolerance)
            failed |= bool(complaints)
            differences = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
            losses = f"loss {theirs[0]['loss']:.4f} to {theirs[-1]['loss']:.4f}"
            print(f"{'FAIL' if complaints else 'ok  '} {case}: {losses}; worst differences: {differences}", flush=True)
            print("".join(f"       {complaint}\n" for complaint in complaints), end="")
    sys.exit(failed)


if __name__ == "__main__":
    main()
