#!/usr/bin/env python3
"""Races babyllama against a PyTorch program on the same tokens, and against Python's tokenizers on the same text.

    python tools/bench/race.py --babyllama target/release/babyllama --peer hf_train.py \\
        --cases 16m 58m-compile 345m:2:1 --output race.json race.md

The peer is a script that trains Hugging Face folders with PyTorch and prints one JSON line per step; it is not part of
this repository. `--python` is an interpreter that has torch and transformers. A case may be followed by its number of
timed steps and of pairs; without `--cases` all run, but those that need files of the user's.

What is the same: the model of a recipe in `recipes/` with random weights, batches cut from one token file in its order,
sequence length, AdamW with clipping, learning rate. Steps before the timed ones are left out on both sides. In each pair
both programs run once, one after the other, and who begins alternates; a pair's number is the ratio of the medians of
their steps, a case's the median of its pairs. Memory is the most that each process had in use, as the system counts it:
the host's. With `--device cuda` both run on a GPU and multiply in bf16, on the CPU in f32, unless `--dtype` says
otherwise.
`hidden` and `sampled` cases read the teachers' word from a cache, while the peer, which has none, runs the teachers.
"""

import argparse
import array
import dataclasses
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SEQUENCE_LENGTH = 128

SMALL_MODELS = "babyllama-1/small-models.toml"
BABYLLAMA_1 = "babyllama-1/strict-small.toml"
BABYLLAMA_2 = "babyllama-2/strict-small.toml"


@dataclasses.dataclass(frozen=True)
class Case:
    """One model, and how it is raced. `arguments` are babyllama's after `bench`."""

    arguments: tuple
    recipe: str = ""
    model: str = ""
    tokens_per_step: int = 0
    compiled: bool = False
    distilled: bool = False
    steps: int = 5
    warmup: int = 2
    pairs: int = 3


def train(preset, recipe, model, tokens, **rest):
    return Case(("train", "--preset", preset), recipe, model, tokens, **rest)


def distill(preset, signal, recipe, model, tokens):
    arguments = ("distill", "--preset", preset, "--teachers", signal)
    return Case(arguments, recipe, model, tokens, distilled=True, steps=2, warmup=1, pairs=2)


CASES = {
    "16m": train("16m", SMALL_MODELS, "llama-16m", 2048, steps=10),
    "16m-compile": train("16m", SMALL_MODELS, "llama-16m", 2048, steps=10, compiled=True),
    "58m": train("58m", BABYLLAMA_1, "llama-58m", 4096),
    "58m-compile": train("58m", BABYLLAMA_1, "llama-58m", 4096, compiled=True),
    "345m": train("345m", BABYLLAMA_2, "teacher-1", 2048, steps=2, warmup=1),
    "345m-16k": train("345m", BABYLLAMA_2, "teacher-1", 16_384, steps=10, warmup=3, compiled=True),
    "gpt2-97m": train("gpt2-97m", SMALL_MODELS, "gpt-97m", 2048),
    "babyllama-1-online": distill("babyllama-1", "online", BABYLLAMA_1, "llama-58m", 4096),
    "babyllama-1-hidden": distill("babyllama-1", "hidden", BABYLLAMA_1, "llama-58m", 4096),
    "babyllama-1-sampled": distill("babyllama-1", "sampled", BABYLLAMA_1, "llama-58m", 4096),
    "babyllama-2-online": distill("babyllama-2", "online", BABYLLAMA_2, "student", 2048),
    "babyllama-2-hidden": distill("babyllama-2", "hidden", BABYLLAMA_2, "student", 2048),
    "tokenize": Case(("tokenize",), steps=3),
}

# Writes random weights into folders that have a configuration only.
WRITE_WEIGHTS = """
import sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
for folder in sys.argv[1:]:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
"""

# Encodes every file of a folder by itself, as babyllama does: no prefix space, no special tokens added.
ENCODE = """
import json, sys, time
from pathlib import Path
from tokenizers import Tokenizer, pre_tokenizers
tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
suffixes = (".train", ".dev", ".test", ".txt")
files = [path for path in sorted(Path(sys.argv[2]).iterdir()) if path.suffix in suffixes and path.name[0] != "."]
texts = [path.read_text(encoding="utf-8") for path in files]
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    tokens = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
    print(json.dumps({"tokens": tokens, "seconds": time.perf_counter() - start}))
"""


@dataclasses.dataclass
class Result:
    """One program's part in a pair."""

    tokens_per_step: int
    seconds: list
    losses: list
    peak_memory: int

    @property
    def speed(self):
        """Tokens a second in the median step."""
        return self.tokens_per_step / statistics.median(self.seconds)


def run(command):
    """A program's standard output and its peak memory in bytes; an end, with its errors, when it fails."""
    command = [str(word) for word in command]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        # So that `process` does not wait for what has already been waited for.
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0), errors.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)}\nended with {process.returncode}:\n{errors.read().strip()[-3000:]}")
        unit = 1 if platform.system() == "Darwin" else 1024
        return output.read(), usage.ru_maxrss * unit


def load_recipe(case):
    return tomllib.loads((REPOSITORY / "recipes" / case.recipe).read_text())


def hugging_face_config(model, vocab_size):
    """`config.json` of a recipe's model, with the recipes' defaults and without dropout."""
    shared = dict(vocab_size=vocab_size, bos_token_id=1, eos_token_id=2, initializer_range=0.02)
    if model["architecture"] == "gpt2":
        return shared | dict(
            architectures=["GPT2LMHeadModel"],
            model_type="gpt2",
            n_embd=model["hidden_size"],
            n_inner=model.get("intermediate_size", 4 * model["hidden_size"]),
            n_layer=model["num_layers"],
            n_head=model["num_heads"],
            n_positions=model["max_positions"],
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            resid_pdrop=0.0,
        )
    return shared | dict(
        architectures=["LlamaForCausalLM"],
        model_type="llama",
        hidden_size=model["hidden_size"],
        intermediate_size=model["intermediate_size"],
        num_hidden_layers=model["num_layers"],
        num_attention_heads=model["num_heads"],
        num_key_value_heads=model.get("num_kv_heads", model["num_heads"]),
        max_position_embeddings=model["max_positions"],
        tie_word_embeddings=model.get("tie_word_embeddings", False),
        pad_token_id=0,
    )


def model_folder(options, case, name):
    """The folder of a recipe's model with its configuration."""
    recipe = load_recipe(case)
    folder = options.work / f"{Path(case.recipe).parent.name}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    config = hugging_face_config(recipe["models"][name], recipe["tokenizer"]["vocab_size"])
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    return folder


def teacher_folders(options, case):
    """The folders of a student's teachers, with random weights; those that are there already are taken again."""
    names = load_recipe(case)["models"][case.model]["distill"]["teachers"]
    folders = [options.work / f"{Path(case.recipe).parent.name}-{name}" for name in names]
    missing = [name for name, folder in zip(names, folders) if not (folder / "model.safetensors").exists()]
    if missing:
        print(f"writing random weights of {', '.join(missing)}", flush=True)
        run([options.python, "-c", WRITE_WEIGHTS, *(model_folder(options, case, name) for name in missing)])
    return folders


def write_tokens(path, count, vocab_size):
    """Little-endian 16-bit ids by Zipf's law: their logarithms are uniform. 0, the padding, does not occur."""
    draw = random.Random(0)
    ids = array.array("H", (min(int(vocab_size ** draw.random()), vocab_size - 1) for _ in range(count)))
    if sys.byteorder == "big":
        ids.byteswap()
    path.write_bytes(ids.tobytes())


def ours(options, case, steps):
    command = [options.babyllama, "bench", *case.arguments, "--json", "--threads", options.threads]
    command += ["--tokens", options.tokens, "--raw-tokens", "--only-steps"]
    command += ["--tokens-per-step", case.tokens_per_step, "--sequence-length", SEQUENCE_LENGTH]
    command += ["--device", options.device]
    command += ["--precision", options.our_dtype or options.dtype]
    output, memory = run(command + ["--steps", steps, "--warmup", case.warmup])
    report = json.loads(output)
    return Result(case.tokens_per_step, report["seconds"], report["losses"], memory)


def peer(options, case, steps):
    recipe = load_recipe(case)["models"][case.model]
    settings = recipe["train"]
    command = [options.python, options.peer, "--model", model_folder(options, case, case.model), "--fresh"]
    command += ["--tokens", options.tokens, "--seq", SEQUENCE_LENGTH, "--device", options.device, "--threads", options.threads]
    command += ["--dtype", options.dtype]
    command += ["--batch", case.tokens_per_step // SEQUENCE_LENGTH, "--steps", case.warmup + steps]
    # So many steps that the learning rate is as constant as ours.
    command += ["--lr", settings["learning_rate"], "--total-steps", 10**6]
    command += ["--weight-decay", settings.get("weight_decay", 0.0)]
    if case.compiled:
        command.append("--compile")
    if case.distilled:
        learning = recipe["distill"]
        command += [word for folder in teacher_folders(options, case) for word in ("--teacher", folder)]
        command += ["--kl", learning["kl"], "--temperature", learning["temperature"], "--alpha", learning["alpha"]]
    output, memory = run(command)
    records = [json.loads(line) for line in output.splitlines() if line.startswith("{")][case.warmup :]
    seconds = [record["seconds"] for record in records]
    losses = [record["loss"] for record in records]
    return Result(case.tokens_per_step, seconds, losses, memory)


def our_encoding(options, case, repeats):
    command = [options.babyllama, "bench", *case.arguments, "--json", "--threads", options.threads]
    output, memory = run(command + ["--data", options.text, "--tokenizer", options.tokenizer, "--repeats", repeats])
    report = json.loads(output)
    seconds = report["speeds"][-1]["seconds"]
    return Result(report["tokens"], seconds, [report["tokens"]], memory)


def peer_encoding(options, case, repeats):
    output, memory = run([options.python, "-c", ENCODE, options.tokenizer, options.text, repeats])
    records = [json.loads(line) for line in output.splitlines()]
    seconds, tokens = [record["seconds"] for record in records], records[0]["tokens"]
    return Result(tokens, seconds, [tokens], memory)


def race(options, name, case, steps, pairs):
    """All pairs of a case, as (ours, peer), whoever ran first."""
    programs = (our_encoding, peer_encoding) if name == "tokenize" else (ours, peer)
    results = []
    for number in range(pairs):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        pair = {index: programs[index](options, case, steps) for index in order}
        our, their = pair[0], pair[1]
        memory = f"memory {our.peak_memory / 1e9:.2f} and {their.peak_memory / 1e9:.2f} GB"
        speeds = f"ours {our.speed:,.0f} tokens/s, peer {their.speed:,.0f}, ratio {our.speed / their.speed:.2f}"
        print(f"{name}, pair {number + 1}: {speeds}; {memory}", flush=True)
        results.append((our, their))
    complain_of_other_work(name, results[0])
    return results


def summary(name, case, results):
    """The medians of a case's pairs, and everything that was measured."""

    def medians(number):
        return [statistics.median(number(pair[index]) for pair in results) for index in (0, 1)]

    def median_ratio(number):
        return statistics.median(number(our) / number(their) for our, their in results)

    speed, memory = lambda result: result.speed, lambda result: result.peak_memory
    return {
        "case": name,
        "against": "tokenizers" if name == "tokenize" else "compiled" if case.compiled else "eager",
        "tokens_per_second": medians(speed),
        "ratio": median_ratio(speed),
        "ratios": [our.speed / their.speed for our, their in results],
        "peak_memory": medians(memory),
        "memory_ratio": median_ratio(memory),
        "pairs": [{"ours": dataclasses.asdict(our), "peer": dataclasses.asdict(their)} for our, their in results],
    }


def complain_of_other_work(name, pair):
    """Random weights differ and caches hold noise, but programs that do the same work have losses of one size."""
    our, their = (statistics.mean(result.losses) for result in pair)
    tolerance = 0.0 if name == "tokenize" else 0.1
    if abs(our - their) > tolerance * abs(their):
        what = "tokens" if name == "tokenize" else "the mean loss"
        print(f"{name}: careful, {what} differ: ours {our:g}, peer {their:g}", flush=True)


def markdown(rows):
    lines = [
        "| case | against | ours, tokens/s | peer, tokens/s | ratio | every pair | memory, ours | peer | ratio |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        speeds = [f"{speed:,.0f}" for speed in row["tokens_per_second"]]
        ratios = [f"**{row['ratio']:.2f}**", ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])]
        memory = [f"{peak / 1e9:.2f} GB" for peak in row["peak_memory"]]
        cells = [row["case"], row["against"], *speeds, *ratios, *memory, f"{row['memory_ratio']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def parse_case(text):
    """`NAME[:STEPS[:PAIRS]]`."""
    name, *numbers = text.split(":")
    if name not in CASES:
        raise argparse.ArgumentTypeError(f"no case {name}; there are {', '.join(CASES)}")
    if len(numbers) > 2 or not all(number.isdigit() and int(number) > 0 for number in numbers):
        raise argparse.ArgumentTypeError(f"{text} is not NAME, NAME:STEPS or NAME:STEPS:PAIRS")
    return name, *map(int, numbers)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--babyllama", type=Path, default=REPOSITORY / "target/release/babyllama")
    parser.add_argument("--peer", type=Path, help="the PyTorch program; every case but `tokenize` needs it")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with torch and transformers")
    parser.add_argument("--cases", nargs="+", type=parse_case, metavar="NAME[:STEPS[:PAIRS]]", help=", ".join(CASES))
    parser.add_argument("--steps", type=int, help="timed steps of every case that does not say")
    parser.add_argument("--pairs", type=int, help="pairs of every case that does not say")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda or cuda:N, of both programs")
    dtypes = ["f32", "bf16"]
    parser.add_argument("--dtype", choices=dtypes, help="what products read [default: bf16 on a GPU, f32 on the CPU]")
    parser.add_argument("--our-dtype", choices=dtypes + ["bf16x3"], help="the same of babyllama alone")
    parser.add_argument("--text", type=Path, help="a folder of text, for `tokenize`")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json, for `tokenize`")
    work = REPOSITORY / "target/race"
    parser.add_argument("--work", type=Path, default=work, help="gets tokens and random teachers, 7 GB of them")
    output_help = "files to write: .json gets everything, .md the table"
    parser.add_argument("--output", type=Path, nargs="*", default=[], help=output_help)
    options = parser.parse_args()
    options.dtype = options.dtype or ("f32" if options.device == "cpu" else "bf16")
    with_text = options.text and options.tokenizer
    left_out = {name for name, there in (("tokenize", with_text), ("345m-16k", options.device != "cpu")) if not there}
    options.cases = options.cases or [(name,) for name in CASES if name not in left_out]
    names = [case[0] for case in options.cases]
    if not options.peer and names != ["tokenize"]:
        parser.error("--peer is needed")
    if "tokenize" in names and not with_text:
        parser.error("the case tokenize needs --text and --tokenizer")
    if strange := [path for path in options.output if path.suffix not in (".json", ".md")]:
        parser.error(f"{strange[0]} ends in neither .json nor .md")
    return options


def main():
    options = parse_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    # At the file's end both programs begin again.
    options.tokens = options.work / "tokens.bin"
    write_tokens(options.tokens, 600_000, 16_000)
    rows = []
    for name, *numbers in options.cases:
        case = CASES[name]
        steps = numbers[0] if numbers else options.steps or case.steps
        pairs = numbers[1] if len(numbers) > 1 else options.pairs or case.pairs
        rows.append(summary(name, case, race(options, name, case, steps, pairs)))
        for path in options.output:
            # After every case, so that a race that is cut short leaves what it found.
            path.write_text(markdown(rows) if path.suffix == ".md" else json.dumps(rows, indent=2) + "\n")
    print("\n" + markdown(rows), end="")


if __name__ == "__main__":
    main()
