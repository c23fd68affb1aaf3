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


def random_weights(shapes):
    """Weights of which every one matters: biases that are not 0, gains that are not 1."""
    return {
        name: torch.randn(shape) * (0.3 if is_gain(name) else 0.4) + (1.0 if is_gain(name) else 0.0)
        for name, shape in shapes
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


def project(weights, name, rows):
    """A product with its bias."""
    return F.linear(rows, weights[f"{name}.weight"], weights[f"{name}.bias"])


def affine(weights, name, rows):
    """Layer norm with parameters."""
    return F.layer_norm(rows, rows.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)


def context(weights, name, x, value, table, interleaved=False, causal=False):
    """What the heads of one layer read of one sequence, side by side: `[tokens, hidden]`."""
    tokens, width = len(x), HIDDEN // HEADS
    by_head = lambda rows: rows.reshape(len(rows), HEADS, width).transpose(0, 1)
    query, key = map(by_head, project(weights, f"{name}.in_proj_qk", x).split(HIDDEN, -1))
    table = project(weights, f"{name}.in_proj_qk", table)
    if interleaved:
        position_query, position_key = table.reshape(-1, HEADS, 2, width).permute(2, 1, 0, 3)
    else:
        position_query, position_key = map(by_head, table.split(HIDDEN, -1))
    rows = torch.tensor([[BUCKETS - 1 + bucket(i - j) for j in range(tokens)] for i in range(tokens)])
    scores = query @ key.transpose(1, 2)
    scores = scores + torch.einsum("hid,hijd->hij", query, position_key[:, rows])
    scores = scores + torch.einsum("hjd,hijd->hij", key, position_query[:, rows])
    if causal:
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -1e30)
    output = (scores / math.sqrt(3 * width)).softmax(-1) @ by_head(value)
    return output.transpose(0, 1).reshape(tokens, HIDDEN)


def attention(weights, name, x, table, interleaved=False):
    """One layer's attention of one sequence: `[tokens, hidden]`."""
    value = project(weights, f"{name}.in_proj_v", x)
    output = project(weights, f"{name}.out_proj", context(weights, name, x, value, table, interleaved))
    return affine(weights, f"{name}.post_layer_norm", output)


def feed_forward(weights, name, x):
    """The gated feed-forward part of a layer."""
    up, gate = F.linear(plain(x), weights[f"{name}.1.weight"]).split(INNER, -1)
    return F.linear(plain(up * F.gelu(gate, approximate="tanh")), weights[f"{name}.4.weight"])


def distances(weights):
    """The table of distances that all layers project."""
    return affine(weights, "embedding.relative_layer_norm", weights["embedding.relative_embedding"])


def encoder(weights, ids, interleaved=False):
    """The states of one sequence before the head."""
    table, x = distances(weights), plain(weights["embedding.word_embedding.weight"][ids])
    for layer in range(LAYERS):
        name = f"transformer.layers.{layer}"
        x = x + attention(weights, f"{name}.attention", plain(x), table, interleaved)
        x = x + feed_forward(weights, f"{name}.mlp.mlp", x)
    return x


def head(weights, x, name="classifier"):
    """What the output matrix reads."""
    return plain(F.gelu(project(weights, f"{name}.nonlinearity.1", plain(x))))


def logits_of(encoder):
    """The function from weights and ids to hidden states and logits of all sequences: `[sequences, tokens, ...]`."""

    def forward(weights, ids):
        hidden = torch.stack([head(weights, encoder(weights, row)) for row in ids])
        bias = weights["classifier.nonlinearity.5.bias"]
        return hidden, F.linear(hidden, weights["embedding.word_embedding.weight"], bias)

    return forward


def loss(logits, targets):
    """The mean cross-entropy of the predicted tokens."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def masked(text):
    """A quarter of the tokens masked, and what is predicted there."""
    chosen = torch.rand(text.shape) < 0.25
    chosen[:, 1] = True
    return torch.where(chosen, MASK, text), torch.where(chosen, text, IGNORED)


def is_mixture(name):
    """Whether a tensor holds the weights of a sum of states."""
    return name.endswith("prev_layer_weights") or "dwa_modules" in name


def train(weights, batches):
    """Ten steps of AdamW on batches in turn, given as (forward, ids, targets): losses, gradient norms, learning rates
    and the final weights."""
    weights = {name: values.clone().requires_grad_() for name, values in weights.items()}
    is_decayed = lambda name, values: values.dim() == 2 or is_mixture(name)
    decayed = [values for name, values in weights.items() if is_decayed(name, values)]
    others = [values for name, values in weights.items() if not is_decayed(name, values)]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        rate = RATE * min(1.0, (step + 1) / WARMUP)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        forward, ids, targets = batches[step % len(batches)]
        found = loss(forward(weights, ids)[1], targets)
        found.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0).item())
        optimizer.step()
        losses.append(found.item())
        rates.append(rate)
    return losses, norms, rates, weights


def write_folder(folder, weights, **keys):
    """A folder as the authors publish them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = dict(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, max_position_embeddings=POSITIONS, position_bucket_size=BUCKETS,
        layer_norm_eps=EPSILON, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=PADDING,
    )
    (folder / "config.json").write_text(json.dumps(config | keys, indent=1) + "\n")
    tensors = {name: values.to(torch.float32).contiguous() for name, values in weights.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def language_model(name, weights, batches, **keys):
    """Writes a folder and what is expected of it: of the first batch states, logits and gradients, of all in turn ten
    steps. A batch is (forward, ids, targets). Returns the weights."""
    folder = MODEL_FIXTURES / name
    write_folder(folder, weights, **keys)
    weights = {name: values.double() for name, values in weights.items()}
    for values in weights.values():
        values.requires_grad_()
    forward, ids, targets = batches[0]
    hidden, logits = forward(weights, ids)
    found = loss(logits, targets)
    found.backward()
    expected = {"ids": ids, "targets": targets, "hidden": hidden, "logits": logits, "loss": found}
    expected |= {f"grad.{name}": values.grad for name, values in weights.items()}
    plain_weights = {name: values.detach() for name, values in weights.items()}
    losses, norms, rates, final = train(plain_weights, batches)
    step_ids, step_targets = (torch.stack([batch[part] for batch in batches]) for part in (1, 2))
    expected |= {"step_ids": step_ids, "step.targets": step_targets, "losses": torch.tensor(losses)}
    expected |= {"grad_norms": torch.tensor(norms), "learning_rates": torch.tensor(rates)}
    expected |= {f"final.{name}": values for name, values in final.items()}
    save_tensors(folder / "expected.safetensors", expected)
    return plain_weights


def random_texts():
    """Two batches of texts between the first token and whatever follows."""
    texts = torch.randint(MASK + 1, VOCAB, (2, SEQUENCES, TOKENS))
    texts[:, :, 0] = FIRST
    return texts


def masked_batches(forward):
    """Two batches of masked texts, whose masked tokens are predicted at their places."""
    return [(forward, *masked(text)) for text in random_texts()]


def ltg_bert(interleaved):
    """The folder of an LTG-BERT and what is expected of it."""
    weights = random_weights(shapes())
    forward = logits_of(lambda weights, row: encoder(weights, row, interleaved))
    name, heads = ("ltg-bert-interleaved", "interleaved") if interleaved else ("ltg-bert", "halves")
    keys = dict(model_type="bert", architectures=["LtgBertForMaskedLM"], position_heads=heads)
    return language_model(name, weights, masked_batches(forward), **keys)


def score(weights, before, text):
    """Log-probabilities of a text's tokens, each masked in turn behind what stands before and in front of `[SEP]`."""
    ids, found, forward = torch.tensor(before + text + [LAST]), [], logits_of(encoder)
    for place in range(len(before), len(before) + len(text)):
        hidden = ids.clone()
        hidden[place] = MASK
        found.append(forward(weights, hidden[None])[1][0, place].log_softmax(-1)[ids[place]].item())
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


def classifier(name, weights, encoder, **keys):
    """The folder of a classifier, its logits, its loss and its gradients."""
    weights = {name: values for name, values in weights.items() if not name.startswith("classifier.")}
    weights |= {"head.nonlinearity.1.weight": 0.4 * torch.randn(HIDDEN, HIDDEN)}
    weights |= {"head.nonlinearity.1.bias": 0.4 * torch.randn(HIDDEN)}
    weights |= {"head.nonlinearity.5.weight": 0.4 * torch.randn(LABELS, HIDDEN)}
    weights |= {"head.nonlinearity.5.bias": 0.4 * torch.randn(LABELS)}
    names = {str(label): name for label, name in enumerate(("no", "maybe", "yes"))}
    folder = MODEL_FIXTURES / name
    write_folder(folder, weights, id2label=names, **keys)
    weights = {name: values.double().requires_grad_() for name, values in weights.items()}
    lengths, labels = [7, 1, 11, 4], torch.tensor([2, 0, 1, 2])
    texts = [torch.cat((torch.tensor([FIRST]), torch.randint(MASK + 1, VOCAB, (size - 1,)))) for size in lengths]
    features = torch.stack([head(weights, encoder(weights, text)[0], "head") for text in texts])
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
    weights = ltg_bert(False)
    ltg_bert(True)
    keys = dict(model_type="bert", architectures=["LtgBertForSequenceClassification"], position_heads="halves")
    classifier("ltg-bert-classifier", random_weights(shapes()), encoder, **keys)
    path = EVAL_FIXTURES / "ltg_bert_scores.json"
    path.write_text(json.dumps(scores(weights), indent=1) + "\n")


if __name__ == "__main__":
    main()
