"""Times Python's `tokenizers` on a folder of clean text, file by file, and writes or compares the ids.

    python tools/bench/encode.py TEXT_FOLDER TOKENIZER_JSON [--repeat 1] [--write IDS.bin] [--compare TOKENS.bin]

The files (.train, .dev, .test, .txt) are read in the order of their names and encoded one by one with
`Tokenizer.encode(text)`, without a prefix space and without special tokens, as babyllama does. Reading is not timed.
Printed are the seconds of each repetition, their median, and tokens/s.

`--write` stores the ids as little-endian 16-bit numbers, one file after the other. `--compare` takes such a file, or a
token file of babyllama's (`tokens/train.bin` of a run, whose header of 64 bytes is passed over), and ends with exit
code 1 at the first id that differs.
"""

import argparse
import array
import pathlib
import statistics
import sys
import time

import tokenizers

SUFFIXES = {".train", ".dev", ".test", ".txt"}
MAGIC = b"bbllmtok"
HEADER_BYTES = 64


def load(path):
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.pre_tokenizer.add_prefix_space = False
    return tokenizer


def read_texts(folder):
    files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    return [file.read_text(encoding="utf-8") for file in files]


def encode_all(tokenizer, texts):
    begun = time.perf_counter()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    return time.perf_counter() - begun, [token for file in ids for token in file]


def as_bytes(ids):
    numbers = array.array("H", ids)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def compare(ours, path):
    theirs = path.read_bytes()
    if theirs.startswith(MAGIC):
        theirs = theirs[HEADER_BYTES:]
    if ours == theirs:
        print(f"the same {len(ours) // 2:,} ids as in {path}")
        return
    shorter = min(len(ours), len(theirs)) // 2
    place = next((at for at in range(shorter) if ours[2 * at : 2 * at + 2] != theirs[2 * at : 2 * at + 2]), shorter)
    sys.exit(f"{path} has {len(theirs) // 2:,} ids and Python {len(ours) // 2:,}; they differ from id {place:,} on")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--compare", type=pathlib.Path)
    arguments = parser.parse_args()

    tokenizer, texts = load(arguments.tokenizer), read_texts(arguments.folder)
    times = []
    for _ in range(arguments.repeat):
        seconds, ids = encode_all(tokenizer, texts)
        times.append(seconds)
        print(f"{seconds:.2f} s, {len(ids) / seconds:,.0f} tokens/s", flush=True)
    median = statistics.median(times)
    print(f"median {median:.2f} s, {len(ids) / median:,.0f} tokens/s, {len(ids):,} tokens")
    if arguments.write:
        arguments.write.write_bytes(as_bytes(ids))
    if arguments.compare:
        compare(as_bytes(ids), arguments.compare)


if __name__ == "__main__":
    main()
