#!/usr/bin/env python3
"""Races `babyllama evaluate blimp` against lm_eval on the same minimal pairs:

    python tools/bench/evaluate_race.py --data data/blimp_filtered --tokenizer runs/r/models/student/final \\
        --babyllama target/release/babyllama --output race.json race.md

Both score the same sentences with the same LLaMA of 58 M parameters (random weights), on the same number of threads, in
f32 or, with `--dtype bf16`, in bf16; then `--lm-eval-dtypes float32 bfloat16` races lm_eval in both. lm_eval is timed
from the sentences' text to the last score, without its start, the loading of the model and the making of its tasks;
babyllama from the start of its process to the end. In each round every program runs once, one after the other, and who
begins changes; a program's number is the median of its rounds, a ratio the median of the rounds' ratios. The scores are
compared too. `--python` is an interpreter with torch, transformers and lm_eval.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = "babyllama"

# A LLaMA of 58 M parameters; the padding token's row, which takes no gradient, is zero as in every trained model.
WRITE_MODEL = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
config = LlamaConfig(vocab_size=16000, hidden_size=512, intermediate_size=1024, num_hidden_layers=16,
    num_attention_heads=8, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2)
model = LlamaForCausalLM(config)
model.model.embed_tokens.weight.data[0] = 0
model.save_pretrained(sys.argv[1])
"""

# Scores all sentences as lm_eval scores BLiMP's: no context, one space before the sentence.
LM_EVAL = """
import json, sys, time, torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
folder, sentences, batch_size, threads = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
model = HFLM(pretrained=folder, batch_size=batch_size, device="cpu", dtype=sys.argv[5])
requests = [Instance("loglikelihood", {}, ("", " " + sentence), index) for index, sentence in enumerate(sentences)]
model.loglikelihood(requests[:batch_size], disable_tqdm=True)
start = time.perf_counter()
scores = model.loglikelihood(requests, disable_tqdm=True)
print(json.dumps({"seconds": time.perf_counter() - start, "scores": [score for score, _ in scores]}))
"""


def run(command):
    """A program's standard output; an end, with its errors, when it fails."""
    command = [str(word) for word in command]
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=quiet)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr.strip()[-3000:]}")
    return done.stdout


def write_sample(options):
    """The first pairs of every file, written to a folder of their own; returns all sentences in order."""
    folder = options.work / "pairs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    files = sorted(options.data.glob("*.jsonl"))
    if not files:
        sys.exit(f"{options.data} has no *.jsonl file")
    sentences = []
    for path in files:
        lines = path.read_text(encoding="utf-8").splitlines()
        lines = lines[: options.pairs or len(lines)]
        (folder / path.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        for pair in map(json.loads, lines):
            sentences += [pair["sentence_good"], pair["sentence_bad"]]
    (options.work / "sentences.json").write_text(json.dumps(sentences))
    return folder, sentences


def write_model(options):
    """The model's folder; weights that are there already are taken again."""
    folder = options.work / "llama-58m"
    if not (folder / "model.safetensors").exists():
        print("writing random weights", flush=True)
        run([options.python, "-c", WRITE_MODEL, folder])
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).write_bytes((options.tokenizer / name).read_bytes())
    return folder


def ours(options, model, pairs):
    """Seconds of the whole process, and its scores."""
    scores = options.work / "scores"
    command = [options.babyllama, "evaluate", "blimp", model, "--data", pairs, "--output", scores]
    command += ["--precision", options.dtype]
    start = time.perf_counter()
    run(command + ["--threads", options.threads])
    seconds = time.perf_counter() - start
    (predictions,) = scores.glob("*/*/predictions.jsonl")
    found = [score for line in predictions.read_text().splitlines() for score in json.loads(line)["scores"]]
    return seconds, found


def theirs(options, model, batch_size, dtype):
    """Seconds of the scoring alone, and its scores."""
    command = [options.python, "-c", LM_EVAL, model, options.work / "sentences.json", batch_size, options.threads]
    found = json.loads(run(command + [dtype]).splitlines()[-1])
    return found["seconds"], found["scores"]


def race(options, model, pairs, sentences):
    """For every program, the seconds of each round."""
    programs = {OURS: lambda: ours(options, model, pairs)}
    for dtype in options.lm_eval_dtypes:
        for size in options.batch_sizes:
            name = f"lm_eval, {dtype}, batch {size}"
            programs[name] = lambda size=size, dtype=dtype: theirs(options, model, size, dtype)
    seconds, names = {name: [] for name in programs}, list(programs)
    for number in range(options.rounds):
        turn = number % len(names)
        scores = {}
        for name in names[turn:] + names[:turn]:
            taken, scores[name] = programs[name]()
            seconds[name].append(taken)
            print(f"round {number + 1}, {name}: {len(sentences) / taken:,.0f} sentences/s", flush=True)
        for name in names[1:]:
            apart = max(abs(a - b) for a, b in zip(scores[OURS], scores[name], strict=True))
            print(f"round {number + 1}: scores of {name} differ from ours by at most {apart:.1e}", flush=True)
    return seconds


def markdown(seconds, sentences):
    lines = ["| program | sentences/s | ours to it | every round |", "| --- | ---: | ---: | --- |"]
    for name, times in seconds.items():
        ratios = [their / our for our, their in zip(seconds[OURS], times)]
        speed = len(sentences) / statistics.median(times)
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        lines.append(f"| {name} | {speed:,.0f} | **{statistics.median(ratios):.2f}** | {each} |")
    return "\n".join(lines) + "\n"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of *.jsonl files in BLiMP's format")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a folder with tokenizer.json of at most 16,000 entries")
    parser.add_argument("--babyllama", type=Path, default=REPOSITORY / "target/release/babyllama")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with torch, transformers and lm_eval")
    parser.add_argument("--pairs", type=int, default=50, help="pairs of every file; 0 takes all")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16, 32, 64, 128], help="of lm_eval")
    parser.add_argument("--dtype", choices=["f32", "bf16", "bf16x3"], default="f32", help="babyllama's precision")
    parser.add_argument("--lm-eval-dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "target/race", help="gets the model and the sample")
    output_help = "files to write: .json gets everything, .md the table"
    parser.add_argument("--output", type=Path, nargs="*", default=[], help=output_help)
    options = parser.parse_args()
    if strange := [path for path in options.output if path.suffix not in (".json", ".md")]:
        parser.error(f"{strange[0]} ends in neither .json nor .md")
    return options


def main():
    options = parse_arguments()
    pairs, sentences = write_sample(options)
    seconds = race(options, write_model(options), pairs, sentences)
    table = markdown(seconds, sentences)
    for path in options.output:
        everything = json.dumps({"sentences": len(sentences), "seconds": seconds}, indent=2) + "\n"
        path.write_text(table if path.suffix == ".md" else everything)
    print("\n" + table, end="")


if __name__ == "__main__":
    main()
