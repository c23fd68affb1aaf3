"""Writes a small GPT-BERT, and what PyTorch computes from it by the formulas of Charpentier and Samuel (arXiv
2410.24159): hidden tokens from both sides, the next token, scores, and a classifier."""

import json

import torch
import torch.nn.functional as F

from common import EVAL_FIXTURES, IGNORED, make_torch_repeatable
from ltg_bert import FIRST, HIDDEN, INNER, LAYERS, MASK, VOCAB, classifier, context, distances, feed_forward
from ltg_bert import language_model, logits_of, masked, plain, project, random_texts, random_weights, shapes


def gpt_shapes():
    """The tensors under the authors' names."""
    yield from (item for item in shapes() if not item[0].startswith("transformer."))
    for layer in range(LAYERS):
        attention, inner = f"transformer.attention_layers.{layer}", f"transformer.mlp_layers.{layer}.mlp"
        for part, rows in (("in_proj_qk", 2 * HIDDEN), ("in_proj_vg", 2 * HIDDEN), ("out_proj", HIDDEN)):
            yield f"{attention}.{part}.weight", (rows, HIDDEN)
            yield f"{attention}.{part}.bias", (rows,)
        yield f"{inner}.1.weight", (2 * INNER, HIDDEN)
        yield f"{inner}.4.weight", (HIDDEN, INNER)
    for part in range(2 * LAYERS):
        yield f"transformer.dwa_modules.alphas.{part}", (part + 2,)


def encoder(weights, ids, causal=False):
    """The states of one sequence before the head."""
    table, x = distances(weights), plain(weights["embedding.word_embedding.weight"][ids])
    states = [x]

    def mixture(part):
        alphas = weights[f"transformer.dwa_modules.alphas.{part}"]
        return sum(alpha * state for alpha, state in zip(alphas, states, strict=True))

    for layer in range(LAYERS):
        name, h = f"transformer.attention_layers.{layer}", plain(x)
        value, gate = project(weights, f"{name}.in_proj_vg", h).split(HIDDEN, -1)
        gated = context(weights, name, h, value, table, causal=causal) * F.gelu(gate)
        states.append(x + project(weights, f"{name}.out_proj", plain(gated)))
        x = mixture(2 * layer)
        states.append(x + feed_forward(weights, f"transformer.mlp_layers.{layer}.mlp", x))
        x = mixture(2 * layer + 1)
    return x


BOTH_WAYS = logits_of(encoder)
CAUSAL = logits_of(lambda weights, row: encoder(weights, row, causal=True))


def before(targets):
    """What is predicted at each token, where each target is predicted at the token before it."""
    return torch.cat((targets[:, 1:], torch.full_like(targets[:, :1], IGNORED)), 1)


def batches():
    """A batch of masked texts, read in both directions, and one that predicts the next token."""
    first, second = random_texts()
    ids, targets = masked(first)
    return [(BOTH_WAYS, ids, before(targets)), (CAUSAL, second, before(second))]


def scores(weights):
    """Texts with the sums of both back ends of 2025, which put `<s>` before them and nothing behind."""
    weights, found = {name: values.double() for name, values in weights.items()}, []
    for size in (1, 2, 5, 9, 13):
        text = torch.randint(MASK + 1, VOCAB, (size,))
        ids = torch.cat((torch.tensor([FIRST]), text))
        next_token = CAUSAL(weights, ids[None])[1][0, :-1].log_softmax(-1)
        causal = next_token.gather(1, text[:, None]).sum().item()
        hidden = ids.repeat(size, 1)
        places = torch.arange(size)
        hidden[places, places + 1] = MASK
        at_the_token_before = BOTH_WAYS(weights, hidden)[1][places, places].log_softmax(-1)
        mntp = at_the_token_before.gather(1, text[:, None]).sum().item()
        found.append({"ids": text.tolist(), "causal": causal, "mntp": mntp})
    return found


def main():
    """The folders, what is expected of them, and scores."""
    make_torch_repeatable()
    torch.manual_seed(62)
    keys = dict(architectures=["LtgbertFoCausalLM"], bos_token_id=1, eos_token_id=2)
    weights = language_model("gpt-bert", random_weights(gpt_shapes()), batches(), **keys)
    keys |= dict(model_type="gpt_bert", architectures=["GPTBERTForSequenceClassification"])
    classifier("gpt-bert-classifier", random_weights(gpt_shapes()), encoder, **keys)
    path = EVAL_FIXTURES / "gpt_bert_scores.json"
    path.write_text(json.dumps(scores(weights), indent=1) + "\n")


if __name__ == "__main__":
    main()
