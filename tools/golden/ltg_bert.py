"""Writes a small LTG-BERT, and what PyTorch computes from it by the formulas of Samuel et al. (arXiv 2303.09859)."""

import json
import math
import shutil

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from common import EVAL_FIXTURES, IGNORED, MODEL_FIXTURES, make_torch_repeatable, save_tensors

VOCAB, HIDDEN, INNER, LAYERS, HEADS = 41, 24, 20, 2, 3
BUCKETS, POSITIONS, EPSILON = 4, 16, 1e-5
SEQUENCES, TOKENS, LABELS = 3, 11, 3
FIRST, LAST, PADDING, MASK = 1, 2, 3, 4
STEPS, RATE, WARMUP, DECAY = 10, 3e-3, 2, 0.1


def shapes():
    """The tensors of a masked model under the names of published folders."""
    yield "embedding.word_embedding.weight", (VOCAB, HIDDEN)
    yield "embedding.relative_embedding", (2 * BUCKETS - 1, HIDDEN)
    yield "embedding.relative_layer_norm.weight", (HIDDEN,)
    yield "embedding.relative_layer_norm.bias", (HIDDEN,)
    for layer in range(LAYERS):
        attention, inner = f"transformer.layers.{layer}.attention", f"transformer.layers.{layer}.mlp.mlp"
        for part, rows in (("in_proj_qk", 2 * HIDDEN), ("in_proj_v", HIDDEN), ("out_proj", HIDDEN)):
            yield f"{attention}.{part}.weight", (rows, HIDDEN)
            yield f"{attention}.{part}.bias", (rows,)
        yield f"{attention}.post_layer_norm.weight", (HIDDEN,)
        yield f"{attention}.post_layer_norm.bias", (HIDDEN,)
        yield f"{inner}.1.weight", (2 * INNER, HIDDEN)
        yield f"{inner}.4.weight", (HIDDEN, INNER)
    yield "classifier.nonlinearity.1.weight", (HIDDEN, HIDDEN)
    yield "classifier.nonlinearity.1.bias", (HIDDEN,)
    yield "classifier.nonlinearity.5.bias", (VOCAB,)


def is_gain(name):
    """Whether a tensor is the gain of a norm."""
    return name.endswith("layer_norm.weight")


def random_weights():
    """Weights of which every one matters: biases that are not 0, gains that are not 1."""
    return {
        name: torch.randn(shape) * (0.3 if is_gain(name) else 0.4) + (1.0 if is_gain(name) else 0.0)
        for name, shape in shapes()
    }


def bucket(distance):
    """The bucket of one distance: itself up to half of the buckets, then by its logarithm."""
    half, size = BUCKETS // 2, abs(distance)
    if size > half:
        share = math.log(min(size, POSITIONS - 1) / half) / math.log((POSITIONS - 1) / half)
        size = half + math.ceil(share * (half - 1) - 1e-9)
    return size if distance >= 0 else -size


def plain(x):
    """Layer norm without parameters."""
    return F.layer_norm(x, x.shape[-1:], eps=EPSILON)


def attention(weights, name, x, table, interleaved):
    """One layer's attention of one sequence: `[tokens, hidden]`."""
    tokens, width = len(x), HIDDEN // HEADS
    project = lambda part, rows: F.linear(rows, weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"])
    by_head = lambda rows: rows.reshape(len(rows), HEADS, width).transpose(0, 1)
    query, key = map(by_head, project("in_proj_qk", x).split(HIDDEN, -1))
    value = by_head(project("in_proj_v", x))
    table = project("in_proj_qk", table)
    if interleaved:
        position_query, position_key = table.reshape(-1, HEADS, 2, width).permute(2, 1, 0, 3)
    else:
        position_query, position_key = map(by_head, table.split(HIDDEN, -1))
    rows = torch.tensor([[BUCKETS - 1 + bucket(i - j) for j in range(tokens)] for i in range(tokens)])
    scores = query @ key.transpose(1, 2)
    scores = scores + torch.einsum("hid,hijd->hij", query, position_key[:, rows])
    scores = scores + torch.einsum("hjd,hijd->hij", key, position_query[:, rows])
    context = (scores / math.sqrt(3 * width)).softmax(-1) @ value
    output = project("out_proj", context.transpose(0, 1).reshape(tokens, HIDDEN))
    norm = f"{name}.post_layer_norm"
    return F.layer_norm(output, (HIDDEN,), weights[f"{norm}.weight"], weights[f"{norm}.bias"], EPSILON)


def encoder(weights, ids, interleaved):
    """The states of one sequence before the head."""
    norm = "embedding.relative_layer_norm"
    table = weights["embedding.relative_embedding"]
    table = F.layer_norm(table, (HIDDEN,), weights[f"{norm}.weight"], weights[f"{norm}.bias"], EPSILON)
    x = plain(weights["embedding.word_embedding.weight"][ids])
    for layer in range(LAYERS):
        name = f"transformer.layers.{layer}"
        x = x + attention(weights, f"{name}.attention", plain(x), table, interleaved)
        up, gate = F.linear(plain(x), weights[f"{name}.mlp.mlp.1.weight"]).split(INNER, -1)
        h = plain(up * F.gelu(gate, approximate="tanh"))
        x = x + F.linear(h, weights[f"{name}.mlp.mlp.4.weight"])
    return x


def head(weights, x, name="classifier"):
    """What the output matrix reads."""
    dense = f"{name}.nonlinearity.1"
    return plain(F.gelu(F.linear(plain(x), weights[f"{dense}.weight"], weights[f"{dense}.bias"])))


def forward(weights, ids, interleaved):
    """Hidden states and logits of all sequences: `[sequences, tokens, ...]`."""
    hidden = torch.stack([head(weights, encoder(weights, row, interleaved)) for row in ids])
    bias = weights["classifier.nonlinearity.5.bias"]
    return hidden, F.linear(hidden, weights["embedding.word_embedding.weight"], bias)


def loss(weights, ids, targets, interleaved):
    """The mean cross-entropy of the masked tokens."""
    logits = forward(weights, ids, interleaved)[1]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def masked(text):
    """A quarter of the tokens masked, and what is predicted there."""
    chosen = torch.rand(text.shape) < 0.25
    chosen[:, 1] = True
    return torch.where(chosen, MASK, text), torch.where(chosen, text, IGNORED)


def train(weights, ids, targets, interleaved):
    """Ten steps of AdamW on two batches in turn: losses, gradient norms, learning rates and the final weights."""
    weights = {name: values.clone().requires_grad_() for name, values in weights.items()}
    decayed = [values for values in weights.values() if values.dim() == 2]
    others = [values for values in weights.values() if values.dim() == 1]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        rate = RATE * min(1.0, (step + 1) / WARMUP)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        found = loss(weights, ids[step % 2], targets[step % 2], interleaved)
        found.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0).item())
        optimizer.step()
        losses.append(found.item())
        rates.append(rate)
    return losses, norms, rates, weights


def write_folder(folder, weights, interleaved, **more):
    """A folder as the authors publish them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = dict(
        model_type="bert", vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, max_position_embeddings=POSITIONS, position_bucket_size=BUCKETS,
        layer_norm_eps=EPSILON, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=PADDING,
        architectures=["LtgBertForMaskedLM"], position_heads="interleaved" if interleaved else "halves",
    )
    (folder / "config.json").write_text(json.dumps(config | more, indent=1) + "\n")
    tensors = {name: values.to(torch.float32).contiguous() for name, values in weights.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def language_model(interleaved):
    """The folder of a masked model and what is expected of it."""
    weights = random_weights()
    texts = torch.randint(MASK + 1, VOCAB, (2, SEQUENCES, TOKENS))
    texts[:, :, 0] = FIRST
    ids, targets = zip(*map(masked, texts))
    folder = MODEL_FIXTURES / ("ltg-bert-interleaved" if interleaved else "ltg-bert")
    write_folder(folder, weights, interleaved)
    weights = {name: values.double() for name, values in weights.items()}
    for values in weights.values():
        values.requires_grad_()
    found = loss(weights, ids[0], targets[0], interleaved)
    found.backward()
    hidden, logits = forward(weights, ids[0], interleaved)
    expected = {"ids": ids[0], "targets": targets[0], "hidden": hidden, "logits": logits, "loss": found}
    expected |= {f"grad.{name}": values.grad for name, values in weights.items()}
    plain_weights = {name: values.detach() for name, values in weights.items()}
    losses, norms, rates, final = train(plain_weights, ids, targets, interleaved)
    expected |= {"step_ids": torch.stack(ids), "step.targets": torch.stack(targets), "losses": torch.tensor(losses)}
    expected |= {"grad_norms": torch.tensor(norms), "learning_rates": torch.tensor(rates)}
    expected |= {f"final.{name}": values for name, values in final.items()}
    save_tensors(folder / "expected.safetensors", expected)
    return plain_weights


def score(weights, before, text):
    """Log-probabilities of a text's tokens, each masked in turn behind what stands before and in front of `[SEP]`."""
    ids, found = torch.tensor(before + text + [LAST]), []
    for place in range(len(before), len(before) + len(text)):
        hidden = ids.clone()
        hidden[place] = MASK
        found.append(forward(weights, hidden[None], False)[1][0, place].log_softmax(-1)[ids[place]].item())
    return found


def scores(weights):
    """Texts with the sum by the pipeline of 2023 and the mean by that of 2024, which puts `[SEP]` before them."""
    weights = {name: values.double() for name, values in weights.items()}
    texts = [torch.randint(MASK + 1, VOCAB, (size,)).tolist() for size in (1, 2, 5, 9, 13)]
    means = [score(weights, [FIRST, LAST], text) for text in texts]
    return [
        {"ids": text, "sum": sum(score(weights, [FIRST], text)), "mean": sum(mean) / len(mean)}
        for text, mean in zip(texts, means)
    ]


def classifier():
    """The folder of a classifier, its logits, its loss and its gradients."""
    weights = {name: values for name, values in random_weights().items() if not name.startswith("classifier.")}
    weights |= {"head.nonlinearity.1.weight": 0.4 * torch.randn(HIDDEN, HIDDEN)}
    weights |= {"head.nonlinearity.1.bias": 0.4 * torch.randn(HIDDEN)}
    weights |= {"head.nonlinearity.5.weight": 0.4 * torch.randn(LABELS, HIDDEN)}
    weights |= {"head.nonlinearity.5.bias": 0.4 * torch.randn(LABELS)}
    names = {str(label): name for label, name in enumerate(("no", "maybe", "yes"))}
    folder = MODEL_FIXTURES / "ltg-bert-classifier"
    write_folder(folder, weights, False, architectures=["LtgBertForSequenceClassification"], id2label=names)
    weights = {name: values.double().requires_grad_() for name, values in weights.items()}
    lengths, labels = [7, 1, 11, 4], torch.tensor([2, 0, 1, 2])
    texts = [torch.cat((torch.tensor([FIRST]), torch.randint(MASK + 1, VOCAB, (size - 1,)))) for size in lengths]
    features = torch.stack([head(weights, encoder(weights, text, False)[0], "head") for text in texts])
    logits = F.linear(features, weights["head.nonlinearity.5.weight"], weights["head.nonlinearity.5.bias"])
    found = F.cross_entropy(logits, labels)
    found.backward()
    expected = {"ids": torch.cat(texts), "lengths": torch.tensor(lengths), "labels": labels, "logits": logits}
    expected |= {"loss": found} | {f"grad.{name}": values.grad for name, values in weights.items()}
    save_tensors(folder / "expected.safetensors", expected)


def main():
    """Both ways to cut the table of distances into heads, and a classifier."""
    make_torch_repeatable()
    torch.manual_seed(60)
    weights = language_model(False)
    language_model(True)
    classifier()
    path = EVAL_FIXTURES / "ltg_bert_scores.json"
    path.write_text(json.dumps(scores(weights), indent=1) + "\n")


if __name__ == "__main__":
    main()
