"""Writes surprisals of a made-up reading table by the rules of BabyLM's pipelines of 2025 and 2026, with models of
transformers, a GPT-BERT in plain PyTorch and tokenizers of every kind, and what they add to regressions of the reading times, by numpy."""

import csv
import json

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from common import EVAL_FIXTURES, MODEL_FIXTURES, make_torch_repeatable
from gpt_bert import BOTH_WAYS, CAUSAL

BEGIN, PAD, END, MASK = range(4)
SPECIAL = ["<s>", "<pad>", "</s>", "<mask>"]
PIECES = [*"abcdefghNon.,", "Ġ", "ab", "Ġc", "Ġca", "abc", "de", "Ġde", "fg", "Ġab", "on", "h."]
MERGES = [("a", "b"), ("Ġ", "c"), ("Ġc", "a"), ("ab", "c"), ("d", "e"), ("Ġ", "de"), ("f", "g"), ("Ġ", "ab")]
MERGES += [("o", "n"), ("h", ".")]

TIMES = ["RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound", "self_paced_reading_time"]
COLUMNS = ["item", "word", "Subtlex_log10", "length", "context_length", *TIMES, "prev_word", "prev_item", "prev_length"]

MODELS = {
    "gpt2": AutoModelForCausalLM,
    "llama": AutoModelForCausalLM,
    "roberta": AutoModelForMaskedLM,
    "t5": AutoModelForSeq2SeqLM,
}
# Model, back end, tokenizer.
CASES = [
    ("gpt2", "causal", "plain"),
    ("gpt2", "causal", "begin"),
    ("llama", "causal", "begin_space"),
    ("llama", "causal", "begin_end"),
    ("roberta", "mlm", "begin_end"),
    ("roberta", "mlm", "plain"),
    ("roberta", "mntp", "begin_end"),
    ("roberta", "mntp", "begin_space"),
    ("gpt-bert", "causal", "begin"),
    ("gpt-bert", "mntp", "begin"),
    ("t5", "enc_dec_mask", "begin_end"),
]


def tokenizer(template, add_prefix_space):
    """Byte-level pairs; bytes other than those of PIECES are dropped."""
    vocabulary = {piece: index for index, piece in enumerate(SPECIAL + PIECES)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(SPECIAL)
    if template:
        special = [("<s>", BEGIN), ("</s>", END)]
        made.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    return made


TOKENIZERS = {
    "plain": ("", False),
    "begin": ("<s> $A", False),
    "begin_space": ("<s> $A", True),
    "begin_end": ("<s> $A </s>", False),
}


def table(generator):
    """Sixty rows in which cells are missing as in the real table, one context being the word None."""
    rows = []
    letters = lambda: "".join(generator.choice(list("abcdefgh"), size=generator.integers(1, 5)))
    number = lambda low, high: round(float(generator.uniform(low, high)), 3)
    for index in range(60):
        words = [letters() for _ in range(generator.integers(2, 4))]
        if index % 9 == 4:
            words[-1] += "."
        if index == 7:
            words[0] += ","
        if index == 11:
            words = ["None", "on"]
        if index == 12:
            words = ["None", "on", "ab"]
        *before, word = words
        frequency = "" if index in (20, 33) else number(2, 16)
        times = [number(100, 300) for _ in TIMES]
        if index == 25:
            times[2] = "NA"
        previous = (before[-1], " ".join(before[:-1]), len(before[-1])) if len(before) > 1 else ("", "", -1)
        rows.append([" ".join(before), word, frequency, len(word), len(before), *times, *previous])
    return rows


def logits_of(name, backend):
    """The logits of what a model reads, in f64."""
    if name == "gpt-bert":
        weights = load_file(MODEL_FIXTURES / name / "model.safetensors")
        weights = {key: tensor.double() for key, tensor in weights.items()}
        read = BOTH_WAYS if backend == "mntp" else CAUSAL
        return lambda input_ids: read(weights, input_ids)[1]
    model = MODELS[name].from_pretrained(MODEL_FIXTURES / name).double().eval()
    return lambda **inputs: model(**inputs).logits


class Asked:
    """A model, and probabilities of tokens at places of what it reads."""

    def __init__(self, name, backend, tokenizer):
        self.logits = logits_of(name, backend)
        self.backend, self.tokenizer = backend, tokenizer

    def ids(self, text, special=True):
        return self.tokenizer.encode(text, add_special_tokens=special).ids

    def log_probability(self, place, target, **inputs):
        with torch.no_grad():
            logits = self.logits(**{key: torch.tensor([ids]) for key, ids in inputs.items()})
        return torch.log_softmax(logits[0, place], -1)[target].item()

    def of_source(self, before, decoded, target):
        """An encoder-decoder reads what is before, a mask, and predicts behind what is decoded."""
        source = [BEGIN, *before, MASK, END]
        return self.log_probability(-1, target, input_ids=source, decoder_input_ids=[BEGIN, *decoded])

    def behind(self, text, target):
        """The token behind a text, as the pipelines ask for it."""
        if self.backend == "enc_dec_mask":
            return self.of_source(self.ids(text, special=False), [], target)
        if self.backend == "causal":
            return self.log_probability(-1, target, input_ids=self.ids(text))
        ids = self.ids(text + 3 * "<mask>")
        first_mask = ids.index(MASK)
        place = first_mask - (self.backend == "mntp")
        return self.log_probability(place, target, input_ids=ids)

    def published(self, context, word):
        first, *others = self.ids(word, special=False)
        total = self.behind(context, first)
        for before, piece in zip([first, *others], others):
            context += self.tokenizer.decode([before], skip_special_tokens=False)
            alone = self.ids(self.tokenizer.decode([piece], skip_special_tokens=False), special=False)
            total += self.behind(context, alone[0])
        return -total

    def proper(self, context, word):
        ids = self.ids(f"{context} {word}")
        content = [i for i, token in enumerate(ids) if token > MASK]
        # No piece of these tokenizers spans a space.
        context_pieces = len(self.ids(context, special=False))
        of_word = content[context_pieces:]
        total = 0.0
        for count, place in enumerate(of_word):
            if self.backend == "enc_dec_mask":
                decoded = [ids[p] for p in of_word[:count]]
                total += self.of_source([ids[p] for p in content[:context_pieces]], decoded, ids[place])
            elif self.backend == "causal":
                total += self.log_probability(-1, ids[place], input_ids=ids[:place])
            else:
                hidden = ids[:place] + [MASK] * 3 + ids[of_word[-1] + 1 :]
                at = place - (self.backend == "mntp")
                total += self.log_probability(at, ids[place], input_ids=hidden)
        return -total


def surprisals(asked, rows, rule):
    """Of the word and of the one before it, which may be missing."""
    ask = getattr(asked, rule)
    found = []
    for row in rows:
        cells = dict(zip(COLUMNS, row))
        # A cell `None` is a missing one for pandas; the pipelines then read a missing context as that word.
        has_previous = cells["prev_item"] not in ("", "None")
        previous = ask(cells["prev_item"], cells["prev_word"]) if has_previous else None
        asked_for = [ask(cells["item"], cells["word"]), previous]
        found.append([None if value is None else round(value, 7) for value in asked_for])
    return found


def r_squared(terms, time):
    terms = np.column_stack([np.ones(len(time)), *terms])
    residual = time - terms @ (np.linalg.pinv(terms) @ time)
    return float(1 - residual @ residual / ((time - time.mean()) ** 2).sum())


def regressions(rows, found):
    """For each time: rows, R squared without and with the word's surprisal, and the gain in percent."""
    result = {}
    for time in TIMES:
        names = ["Subtlex_log10", "length", "context_length"]
        if time == TIMES[-1]:
            names += ["prev_length"]
        kept = []
        for row, (word, previous) in zip(rows, found):
            cells = dict(zip(COLUMNS, row))
            values = [cells[time], *(cells[name] for name in names)]
            values += [previous] if time == TIMES[-1] else []
            if all(value not in ("", "NA", None) for value in values):
                kept.append([*values, word])
        columns = np.array(kept, dtype=float).T
        base = list(columns[1:-1])
        base += [a * b for i, a in enumerate(base) for b in base[i + 1 :]]
        without, together = r_squared(base, columns[0]), r_squared([*base, columns[-1]], columns[0])
        gain = 100 * (together - without) / (1 - without)
        result[time] = {"rows": len(kept), "without": without, "with": together, "gain": gain}
    return result


def main():
    """Writes `reading_data.csv` and `reading.json`."""
    make_torch_repeatable()
    rows = table(np.random.default_rng(23))
    EVAL_FIXTURES.mkdir(parents=True, exist_ok=True)
    with (EVAL_FIXTURES / "reading_data.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["", *COLUMNS], *([i, *row] for i, row in enumerate(rows))])
    tokenizers = {name: tokenizer(*how) for name, how in TOKENIZERS.items()}
    cases = []
    for model, backend, name in CASES:
        asked = Asked(model, backend, tokenizers[name])
        case = {"model": model, "backend": backend, "tokenizer": name}
        for rule in ("published", "proper"):
            found = surprisals(asked, rows, rule)
            assert np.std([word for word, _ in found]) > 0.1, (case, rule)
            case[rule] = {"surprisals": found, "regressions": regressions(rows, found)}
        assert case["published"] != case["proper"]
        cases.append(case)
    made = {name: json.loads(made.to_str()) for name, made in tokenizers.items()}
    lines = [f'"tokenizers": {json.dumps(made)}', '"cases": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]"]
    path = EVAL_FIXTURES / "reading.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"eval/tests/fixtures/{path.name}: {path.stat().st_size / 1024:.1f} KiB, and reading_data.csv")


if __name__ == "__main__":
    main()
