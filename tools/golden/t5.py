"""Writes small T5s with what transformers computes from them, a classifier, scores of texts, and a tokenizer."""

import json
import shutil

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration, T5TokenizerFast, logging

from common import CRATES, EVAL_FIXTURES, IGNORED, MODEL_FIXTURES, make_torch_repeatable, save_tensors

VOCAB, HIDDEN, INNER, LABELS = 41, 16, 20, 3
SEQUENCES, SOURCE, TOKENS = 3, 11, 7
PADDING, END, SENTINEL = 0, 1, 40
STEPS, RATE, WARMUP, DECAY = 10, 1e-3, 2, 0.1

SHAPE = dict(
    vocab_size=VOCAB, d_model=HIDDEN, d_kv=5, d_ff=INNER, num_layers=2, num_decoder_layers=1, num_heads=3,
    relative_attention_num_buckets=8, relative_attention_max_distance=9, layer_norm_epsilon=1e-5, dropout_rate=0.0,
    decoder_start_token_id=PADDING, n_positions=24,
)
# Both forms; that of T5 1.1 has an output matrix of its own.
CONFIGS = {
    "t5": T5Config(**SHAPE),
    "t5-gated": T5Config(**SHAPE | dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=2)),
}


def fill(model):
    """Weights of which every one matters: gains that are not 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_gain = "layer_norm" in name
            parameter.copy_(torch.randn(parameter.shape) * 0.25 + (1.0 if is_gain else 0.0))
    return model


def text(*shape):
    """Random ids that are neither padding, nor the end, nor the sentinel."""
    return torch.randint(END + 1, SENTINEL, shape)


def pair():
    """What an encoder reads, which ends, and what is predicted, of which one token has no target."""
    source, labels = text(SEQUENCES, SOURCE), text(SEQUENCES, TOKENS)
    source[:, -1] = labels[:, -1] = END
    labels[0, 2] = IGNORED
    return source, labels


def shifted(labels):
    """What the decoder reads: the labels behind its first token."""
    start = torch.full((len(labels), 1), PADDING)
    return torch.cat((start, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, PADDING)), 1)


def forward(model, source, labels):
    """The loss, the logits, and the states that meet the output matrix."""
    output = model(input_ids=source, labels=labels, output_hidden_states=True)
    hidden = output.decoder_hidden_states[-1]
    if model.config.tie_word_embeddings:
        hidden = hidden * HIDDEN**-0.5
    assert torch.allclose(F.linear(hidden, model.lm_head.weight), output.logits, atol=1e-5)
    return output.loss, output.logits, hidden


def train(model, batches):
    """Ten steps of AdamW on two batches in turn: losses, gradient norms, learning rates."""
    decayed = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        rate = RATE * min(1.0, (step + 1) / WARMUP)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        found = forward(model, *batches[step % 2])[0]
        found.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        losses.append(found.item())
        rates.append(rate)
    return {"losses": torch.tensor(losses), "grad_norms": torch.tensor(norms), "learning_rates": torch.tensor(rates)}


def language_model(name, config):
    """The folder of a model and what is expected of it."""
    folder = MODEL_FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model = fill(T5ForConditionalGeneration(config)).eval()
    model.save_pretrained(folder)
    batches = [pair(), pair()]
    source, labels = batches[0]
    model = model.double()
    found, logits, hidden = forward(model, source, labels)
    found.backward()
    expected = {"source": source, "ids": shifted(labels), "targets": labels, "hidden": hidden, "logits": logits}
    expected |= {"loss": found} | {f"grad.{key}": parameter.grad.clone() for key, parameter in model.named_parameters()}
    result = scores(model)
    sources, targets = (torch.stack(parts) for parts in zip(*batches))
    expected |= {"step_source": sources, "step_ids": torch.stack([shifted(part) for part in targets])}
    expected |= {"step.targets": targets} | train(model, batches)
    expected |= {f"final.{key}": parameter for key, parameter in model.named_parameters()}
    save_tensors(folder / "expected.safetensors", expected)
    return result


@torch.no_grad()
def scores(model):
    """Texts, the sum of all targets' log-probabilities after an empty text, and that of tokens hidden in turn."""
    found = []
    for size in (1, 2, 5, 9, 13):
        ids = text(size)
        target = torch.cat((ids, torch.tensor([END])))[None]
        logits = model(input_ids=torch.tensor([[END, END]]), labels=target).logits.log_softmax(-1)
        whole = logits[0].gather(-1, target[0][:, None]).sum().item()
        hidden = 0.0
        for place in range(size):
            source = torch.cat((ids, torch.tensor([END])))
            source[place] = SENTINEL
            logits = model(input_ids=source[None], decoder_input_ids=torch.tensor([[SENTINEL]])).logits
            hidden += logits[0, -1].log_softmax(-1)[ids[place]].item()
        found.append({"ids": ids.tolist(), "whole": whole, "hidden": hidden})
    return found


def classifier():
    """The folder of a classifier on an encoder, its logits, its loss and its gradients."""
    config = CONFIGS["t5"]
    folder = MODEL_FIXTURES / "t5-classifier"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    encoder = fill(T5EncoderModel(config)).eval()
    heads = {"pooler.w.weight": (1, HIDDEN), "pooler.w.bias": (1,)}
    heads |= {"classifier.weight": (LABELS, HIDDEN), "classifier.bias": (LABELS,)}
    heads = {name: 0.4 * torch.randn(shape) for name, shape in heads.items()}
    weights = {name: parameter.detach().clone() for name, parameter in encoder.named_parameters()} | heads
    labels = {str(label): name for label, name in enumerate(("no", "maybe", "yes"))}
    keys = config.to_dict() | {"architectures": ["T5EncoderForSequenceClassification"], "id2label": labels}
    keys["label2id"] = {name: int(label) for label, name in labels.items()}
    (folder / "config.json").write_text(json.dumps(keys, indent=1) + "\n")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    encoder, heads = encoder.double(), {name: values.double().requires_grad_() for name, values in heads.items()}
    lengths, classes = [7, 1, 11, 4], torch.tensor([2, 0, 1, 2])
    texts = [text(size) for size in lengths]
    pooled = []
    for ids in texts:
        states = encoder(input_ids=ids[None]).last_hidden_state[0]
        weight = (states @ heads["pooler.w.weight"][0] + heads["pooler.w.bias"]).softmax(0)
        pooled.append(weight @ states)
    logits = F.linear(torch.stack(pooled), heads["classifier.weight"], heads["classifier.bias"])
    found = F.cross_entropy(logits, classes)
    found.backward()
    expected = {"ids": torch.cat(texts), "lengths": torch.tensor(lengths), "labels": classes, "logits": logits}
    grads = {name: parameter.grad for name, parameter in encoder.named_parameters()}
    grads |= {name: values.grad for name, values in heads.items()}
    expected |= {"loss": found} | {f"grad.{name}": values for name, values in grads.items()}
    save_tensors(folder / "expected.safetensors", expected)


def tokenizer():
    """A Unigram tokenizer as T5's folders have it, with sentinels, and the ids of texts by transformers."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words = "▁The ▁the ▁fox ▁quick ▁dog s ed ing ▁jump ▁over ▁ ' . , é".split()
    pieces += [(word, -2.0 - 0.1 * place) for place, word in enumerate(words)]
    pieces += [(letter, -6.0 - 0.1 * place) for place, letter in enumerate("abcdefghijklmnopqrtuvwxyzT2")]
    inner = Tokenizer(models.Unigram(pieces, 2, False))
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    inner.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    folder = CRATES / "corpus/tests/fixtures/t5"
    shutil.rmtree(folder, ignore_errors=True)
    T5TokenizerFast(tokenizer_object=inner, extra_ids=3).save_pretrained(folder)
    again = T5TokenizerFast.from_pretrained(folder)
    texts = ["The quick fox jumps over the dog.", " the dogs' café", "a  <extra_id_0> b</s>", "", "ﬁ 2 ŋ!"]
    known = {f"{role}_token": getattr(again, f"{role}_token_id") for role in ("bos", "eos", "pad", "unk", "mask")}
    around = [again("a").input_ids, again("a", "b").input_ids]
    found = [{"text": text, "ids": again(text, add_special_tokens=False).input_ids} for text in texts]
    expected = {"texts": found, "roles": known, "around": around, "vocab_size": len(again)}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def main():
    """Both forms of the model, the scores of texts by them, a classifier, and a tokenizer."""
    make_torch_repeatable()
    logging.set_verbosity_error()
    torch.manual_seed(61)
    found = {name: language_model(name, config) for name, config in CONFIGS.items()}
    path = EVAL_FIXTURES / "t5_scores.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    classifier()
    tokenizer()


if __name__ == "__main__":
    main()
