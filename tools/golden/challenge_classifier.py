"""Writes what torch computes with the classification head of the BabyLM pipelines of 2025 and 2026 on small models.

The head stands on transformers' model without its output layer; AdamW decays every parameter, gradients are not clipped,
and the learning rate falls to a tenth. There is no dropout.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModel, logging

from classifier import packed, random_batch
from common import MODEL_FIXTURES, TRAIN_FIXTURES, make_torch_repeatable, save_tensors
from schedules import transformers_factors

STEPS, LEARNING_RATE, WARMUP_RATIO, WEIGHT_DECAY, LABELS = 40, 1e-2, 0.06, 0.01, 3
LENGTHS = (1, 7, 11, 7, 3)
# Folder of a language model, and whether the last token stands for the sequence.
MODELS = {"llama-grouped": True, "gpt2": True, "opt": True, "roberta": False, "roberta-last": True}


class Classifier(nn.Module):
    """A language model without its output layer, and the head."""

    def __init__(self, folder, last):
        super().__init__()
        self.body = AutoModel.from_pretrained(folder)
        hidden, self.last = self.body.config.hidden_size, last
        self.nonlinearity = nn.Sequential(
            nn.LayerNorm(hidden, elementwise_affine=False),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.LayerNorm(hidden, elementwise_affine=False),
            nn.Identity(),
            nn.Linear(hidden, LABELS),
        )

    def forward(self, sequences):
        """The logits of sequences that are padded to the longest on the right, which moves no position."""
        ids = nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=1)
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        states = self.body(input_ids=ids, attention_mask=mask).last_hidden_state
        places = lengths - 1 if self.last else torch.zeros_like(lengths)
        return self.nonlinearity(states[torch.arange(len(sequences)), places])


def trained_names(model):
    """The parameters that the loss reaches: not the pooling layer of transformers' RoBERTa."""
    return {name: value for name, value in model.named_parameters() if ".pooler." not in name}


def head_of(model):
    return {name: value for name, value in model.named_parameters() if name.startswith("nonlinearity")}


def answers(model, batch, batches):
    """Logits, the gradient of the head, the losses of all steps, and the logits behind them."""
    sequences, labels = batch
    logits = model(sequences)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    found = {"logits": logits.detach().clone(), "loss": loss.detach()}
    found |= {f"grad.{name}": value.grad.clone() for name, value in head_of(model).items()}
    parameters = list(trained_names(model).values())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY)
    warmup = int(WARMUP_RATIO * STEPS)
    factors = transformers_factors("cosine_with_min_lr", warmup, STEPS, {"min_lr_rate": 0.1})
    losses = []
    for (sequences, labels), factor in zip(batches, factors):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(sequences), labels)
        loss.backward()
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * factor
        optimizer.step()
        losses.append(loss.detach())
    return found | {"losses": torch.stack(losses), "final_logits": model(batch[0]).detach()}


def main():
    """Writes one file for each model."""
    make_torch_repeatable()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for seed, (name, last) in enumerate(MODELS.items(), start=90):
        torch.manual_seed(seed)
        model = Classifier(MODEL_FIXTURES / name.removesuffix("-last"), last).eval()
        head = {f"head.{key}": value.detach().clone() for key, value in head_of(model).items()}
        batch = random_batch(LENGTHS, LABELS)
        sizes = torch.randint(3, 7, (STEPS,))
        batches = [random_batch(torch.randint(1, 12, (size,)), LABELS) for size in sizes]
        found = answers(model, batch, batches)
        assert float(found["losses"].max() - found["losses"].min()) > 0.5, "nothing was learned"
        tensors = packed("", [batch]) | packed("step_", batches) | head | found
        save_tensors(TRAIN_FIXTURES / f"challenge_classifier_{name}.safetensors", tensors)


if __name__ == "__main__":
    main()
