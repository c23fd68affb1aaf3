"""Small models with tokenizers, items of every task of BabyLM's pipelines of 2025 and 2026, and the scores that
transformers gives each text: the sum of the log-probabilities of the tokens that end behind the given part."""

import json
import shutil

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from common import CRATES, make_torch_repeatable

FOLDER = CRATES / "babyllama/tests/fixtures/challenge"
SPECIAL = ["<pad>", "<s>", "</s>", "<mask>"]
VOCAB_SIZE = 320

PAIRS = [
    ("The dogs near the gate bark.", "The dogs near the gate barks.", "number_one", "morphology"),
    ("Who has the boy seen today?", "Who has the boy seen the girl today?", "gap_two", "syntax_semantics"),
    ("The café is open.", "The café are open.", "number_one", "morphology"),
    ("The same.", "The same.", "number_one", "morphology"),
]
SUPPLEMENT = [("A: Who came?\nB: Ida came.", "A: Who came?\nB: There came."), ("He has it.", "He have it.")]
WORLD = [
    ("The cup fell off the table.", "The cup stands on the table.", "The cup is broken.", "The cup is whole."),
    ("Ida gave the pen to Tom.", "Tom gave the pen to Ida.", "Tom has the pen.", "Ida has the pen."),
]
BOXES = [
    (0, "Box 0 contains the cup, Box 1 contains the pen. Box 0 contains ", ["the cup.", "the pen.", "the hat."]),
    (1, "Box 0 contains the cup, Box 1 contains nothing. Move the cup from Box 0 to Box 1. Box 0 contains ",
     ["nothing.", "the cup.", "the pen."]),
    (1, "Box 0 contains the hat, Box 1 contains the pen. Put the cup into Box 1. Box 1 contains ",
     ["the cup and the pen.", "the hat.", "the pen."]),
]
CONCEPTS = [("A horse", "A stone", "can run."), ("A wug is a bird. Therefore, a wug", "A wug is a car. Therefore, a wug", "has wings.")]
EVERYDAY = [
    ("To dry a wet shirt,", ["hang it in the sun", "put it into water", "fold it at once", "eat it"], 0),
    ("The bread is old.", ["It grows", "Toast it"], 1),
]
NONCE = [("The wug is florpable. florpability\tThe wug is florpable. florpableness", 0.8),
         ("The wug is snive. snivity\tThe wug is snive. sniveness", 0.3),
         ("The wug is brellish. brellishity\tThe wug is brellish. brellishness", 0.1)]


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_data(data):
    """The items in the fields of the pipelines."""
    for uid in sorted({pair[2] for pair in PAIRS}):
        rows = [dict(sentence_good=good, sentence_bad=bad, field=field, UID=uid, linguistics_term=uid.split("_")[0])
                for good, bad, name, field in PAIRS if name == uid]
        write_lines(data / f"blimp_filtered/{uid}.jsonl", rows)
    rows = [dict(sentence_good=good, sentence_bad=bad) for good, bad in SUPPLEMENT]
    write_lines(data / "supplement_filtered/turns.jsonl", rows)
    kinds = dict(ContextType="direct", ContextDiff="antonym", TargetDiff="concept swap")
    rows = []
    for context1, context2, target1, target2 in WORLD:
        first = dict(Domain="things", **kinds, Context1=context1, Context2=context2, Target1=target1, Target2=target2)
        rows += [first, first | dict(Context1=context2, Context2=context1, Target1=target2, Target2=target1)]
    write_lines(data / "ewok_filtered/things.jsonl", rows)
    for kind in ("ambiref", "regular"):
        rows = [dict(numops=numops, input_prefix=prefix, options=options) for numops, prefix, options in BOXES]
        write_lines(data / f"entity_tracking/{kind}.jsonl", rows[:2] if kind == "ambiref" else rows)
    for name, items in (("comps_base", CONCEPTS[:1]), ("comps_wugs_dist-before", CONCEPTS[1:])):
        rows = [dict(prefix_acceptable=good, prefix_unacceptable=bad, property_phrase=phrase) for good, bad, phrase in items]
        write_lines(data / f"comps/{name}.jsonl", rows)
    for index, kind in enumerate(("parallel", "nonparallel")):
        prompt, solutions, label = EVERYDAY[index]
        row = dict(prompt=prompt, **{f"solution{k}": text for k, text in enumerate(solutions)}, label=label)
        write_lines(data / f"global_piqa_{kind}/eng_latn.jsonl", [row | dict(example_id=f"{kind}_ex0")])
    write_lines(data / "wug_adj_nominalization/wug.jsonl", [dict(sentences=text, ratio=ratio) for text, ratio in NONCE])


def questions(year):
    """Of each task, the texts of every item: what is read, and the end of it that is scored."""
    whole = lambda *texts: [(text, text) for text in texts]
    after = lambda context, *ends: [(context + end, end) for end in ends]
    world = []
    for context1, context2, target1, target2 in WORLD:
        for c1, c2, t1, t2 in ((context1, context2, target1, target2), (context2, context1, target2, target1)):
            if year == 2025:
                world.append(after(c1, f" {t1}", f" {t2}"))
            else:
                world.append(after(c1, f" {t1}") + after(c2, f" {t1}"))
    boxes = [after(prefix, *options) for _, prefix, options in BOXES[:2] + BOXES
             if year == 2025 or not any("nothing" in option for option in options)]
    found = {
        "blimp_filtered": [whole(*pair[:2]) for uid in ("gap_two", "number_one") for pair in PAIRS if pair[2] == uid],
        "supplement_filtered": [whole(*pair) for pair in SUPPLEMENT],
        "ewok_filtered": world,
        "entity_tracking": boxes,
        "comps": [after(good + " ", phrase) + after(bad + " ", phrase) for good, bad, phrase in CONCEPTS],
    }
    if year == 2025:
        return found | {"wug_adj_nominalization": [whole(*text.split("\t")) for text, _ in NONCE]}
    piqa = {f"global_piqa_{kind}": [after(prompt, *(f" {text}" for text in solutions))]
            for kind, (prompt, solutions, _) in zip(("parallel", "nonparallel"), EVERYDAY)}
    return found | piqa


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE, special_tokens=SPECIAL,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    texts = [text for year in (2025, 2026) for task in questions(year).values() for item in task for text, _ in item]
    tokenizer.train_from_iterator(sorted(set(texts)), trainer)
    assert tokenizer.get_vocab_size() <= VOCAB_SIZE
    return tokenizer


def save_tokenizer(tokenizer, folder, template):
    """A tokenizer that puts the template's special tokens around texts, or none."""
    tokens = dict(pad_token="<pad>", bos_token="<s>", eos_token="</s>", mask_token="<mask>")
    tokens |= dict(cls_token="<s>", sep_token="</s>")
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if template:
        special = [(token, SPECIAL.index(token)) for token in ("<s>", "</s>")]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    names = ["input_ids", "attention_mask"]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names, **tokens)
    fast.save_pretrained(folder)


def random_model(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_gain = parameter.dim() == 1 and "bias" not in name
            parameter.normal_(1.0, 0.2) if is_gain else parameter.normal_(0.0, 0.25)
    return model.eval()


def make_models():
    ids = dict(vocab_size=VOCAB_SIZE, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    shape = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
    # Entity tracking is longer than 32 tokens, which rotary positions bear.
    llama = LlamaConfig(**ids, **shape, max_position_embeddings=32, tie_word_embeddings=True)
    roberta = RobertaConfig(**ids, **shape, max_position_embeddings=130, type_vocab_size=1)
    t5 = T5Config(vocab_size=VOCAB_SIZE, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, pad_token_id=0,
                  eos_token_id=2, decoder_start_token_id=0)
    return {
        "llama": (random_model(LlamaForCausalLM(llama)), None),
        "llama-begins": (None, "<s> $A"),
        "roberta": (random_model(RobertaForMaskedLM(roberta)), "<s> $A </s>"),
        "t5": (random_model(T5ForConditionalGeneration(t5)), "$A </s>"),
    }


def log_probability(logits, token):
    return torch.log_softmax(logits.double(), -1)[token].item()


def score(model, tokenizer, backend, text, completion):
    """The sum, and the number of tokens in it."""
    encoded = tokenizer(text, return_offsets_mapping=True)
    ids, start = encoded["input_ids"], len(text) - len(completion)
    scored = [place for place, (_, end) in enumerate(encoded["offset_mapping"]) if end > start]
    if backend in ("causal", "mntp"):
        scored = [place for place in scored if place > 0]
    mask, total = tokenizer.mask_token_id, 0.0
    for place in scored:
        hidden = torch.tensor([ids[:place] + [mask] + ids[place + 1:]])
        if backend == "causal":
            logits = model(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
        elif backend == "enc_dec_mask":
            decoder = torch.tensor([[tokenizer.bos_token_id, mask]])
            logits = model(input_ids=hidden, decoder_input_ids=decoder).logits[0, -1]
        else:
            logits = model(input_ids=hidden).logits[0, place - (backend == "mntp")]
        total += log_probability(logits, ids[place])
    return total, len(scored)


def main():
    make_torch_repeatable()
    torch.manual_seed(11)
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_data(FOLDER / "data")
    tokenizer, expected = train_tokenizer(), {}
    found = make_models()
    for name, (model, template) in found.items():
        folder = FOLDER / "models" / name
        kept = model or found["llama"][0]
        kept.save_pretrained(folder)
        save_tokenizer(tokenizer, folder, template)
        loaded = AutoTokenizer.from_pretrained(folder)
        backends = {"roberta": ("mlm", "mntp"), "t5": ("enc_dec_mask",)}.get(name, ("causal",))
        for backend in backends:
            for year in (2025, 2026):
                with torch.no_grad():
                    expected[f"{name} {backend} {year}"] = {
                        task: [[score(kept, loaded, backend, *text) for text in item] for item in items]
                        for task, items in questions(year).items()
                    }
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=None) + "\n")
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    print(f"{FOLDER.relative_to(CRATES)}: {size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
