"""Writes a small ELC-BERT, and what PyTorch computes from it by the formulas of Charpentier and Samuel (arXiv
2311.02265): the variant whose output layer reads a mixture too."""

import torch

from common import make_torch_repeatable
from ltg_bert import LAYERS, attention, distances, feed_forward, language_model, logits_of, masked_batches, plain
from ltg_bert import random_weights, shapes

OUTPUT = "transformer.prev_layer_weights"


def with_mixtures():
    """The tensors of an LTG-BERT, and the weights of earlier states."""
    yield from shapes()
    for layer in range(LAYERS):
        yield f"transformer.layers.{layer}.prev_layer_weights", (layer + 1,)
    yield OUTPUT, (LAYERS + 1,)


def mixture(weights, name, states):
    """The mean of the states by the softmax of their weights."""
    return sum(share * state for share, state in zip(weights[name].softmax(0), states, strict=True))


def encoder(weights, ids):
    """The mixture of all states of one sequence before the head."""
    table, states = distances(weights), [plain(weights["embedding.word_embedding.weight"][ids])]
    for layer in range(LAYERS):
        name = f"transformer.layers.{layer}"
        read = mixture(weights, f"{name}.prev_layer_weights", states)
        attended = attention(weights, f"{name}.attention", plain(read), table)
        states.append(attended + feed_forward(weights, f"{name}.mlp.mlp", read + attended))
    return mixture(weights, OUTPUT, states)


def main():
    """The folder and what is expected of it."""
    make_torch_repeatable()
    torch.manual_seed(61)
    keys = dict(model_type="ltgbert", architectures=["LtgBertForMaskedLM"])
    language_model("elc-bert", random_weights(with_mixtures()), masked_batches(logits_of(encoder)), **keys)


if __name__ == "__main__":
    main()
