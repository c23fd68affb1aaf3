"""The five measures of textstat 0.7.3 of the first two million characters of each file of a folder.

    pip install textstat==0.7.3 pyphen==0.18.1
    python tools/golden/readability.py data/babylm_10M

Prints the rows of the test `the_ten_sources_are_as_hard_as_textstat_finds_them` in
crates/corpus/src/readability. Takes some minutes.
"""

import pathlib
import sys

import textstat

CHARACTERS = 2_000_000
MEASURES = [
    textstat.flesch_reading_ease,
    textstat.flesch_kincaid_grade,
    textstat.gunning_fog,
    textstat.automated_readability_index,
    textstat.smog_index,
]


def main(folder: pathlib.Path) -> None:
    for path in sorted(folder.glob("*.train")):
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read(CHARACTERS)
        values = ", ".join(repr(float(measure(text))) for measure in MEASURES)
        print(f'("{path.stem}", [{values}]),', flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
