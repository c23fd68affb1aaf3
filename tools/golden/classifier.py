"""Writes small sequence classifiers with what transformers computes from them: logits, gradients, fifty AdamW steps.

transformers reads padded batches; the fixtures hold the same sequences laid end to end, as our program reads them.
"""

import copy
import shutil

import torch
import torch.nn.functional as F
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup, logging

from common import ENGINE_FIXTURES, MODEL_FIXTURES, is_decayed, make_torch_repeatable, random_input, save_tensors
from masked import config as roberta
from models import VOCAB_SIZE, gpt2, gptj, llama, opt, qwen3

STEPS, LEARNING_RATE, WARMUP_STEPS, WEIGHT_DECAY, CLIP = 50, 3e-3, 5, 0.1, 1.0
LENGTHS = (1, 7, 11, 7, 3)
NAMES = {0: "contradiction", 1: "entailment", 2: "neutral"}
LABELS = {"id2label": NAMES, "label2id": {name: label for label, name in NAMES.items()}}

# Two labels without names, which transformers leaves out of its configuration.
CONFIGS = {
    "llama-classifier": llama(num_key_value_heads=2, **LABELS),
    "gpt2-classifier": gpt2(),
    "opt-classifier": opt(tie_word_embeddings=False),
    "roberta-classifier": roberta(**LABELS),
    "gptj-classifier": gptj(n_embd=16, n_head=2, rotary_dim=4),
    "qwen3-classifier": qwen3(**LABELS),
}


def random_model(config):
    """A classifier in which every term matters: wide weights, random biases, gains away from one."""
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_gain = not is_decayed(name) and name.endswith("weight")
            parameter.normal_(1.0, 0.3) if is_gain else parameter.normal_(0.0, 0.15)
    return model


def random_batch(lengths, num_labels):
    """Sequences of the given lengths without padding ids, which are 0 or 1; the first token decides half of the labels."""
    sequences = [torch.randint(2, VOCAB_SIZE, (length,)) for length in lengths]
    noise = torch.randint(num_labels, (len(lengths),))
    labels = [int(noise[i]) if i % 2 else int(ids[0]) % num_labels for i, ids in enumerate(sequences)]
    return sequences, torch.tensor(labels)


def read(model, sequences, labels):
    """What the model says of sequences that are padded to the longest on the right."""
    padding = model.config.pad_token_id
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=padding)
    return model(input_ids=ids, attention_mask=(ids != padding).long(), labels=labels)


def packed(prefix, batches):
    """Batches end to end: ids, the length of every sequence, its label, and the number of sequences of each batch."""
    sequences = [ids for batch, _ in batches for ids in batch]
    return {
        f"{prefix}ids": torch.cat(sequences),
        f"{prefix}lengths": torch.tensor([len(ids) for ids in sequences]),
        f"{prefix}labels": torch.cat([labels for _, labels in batches]),
        f"{prefix}sizes": torch.tensor([len(batch) for batch, _ in batches]),
    }


def logits_and_gradients(model, batch):
    model.zero_grad()
    output = read(model, *batch)
    output.loss.backward()
    gradients = {f"grad.{name}": parameter.grad.clone() for name, parameter in model.named_parameters()}
    return {"logits": output.logits, "loss": output.loss} | gradients


def train(model, batches):
    """AdamW steps in place with transformers' linear schedule; the losses are those before each update."""
    groups = [
        {"params": [p for n, p in model.named_parameters() if is_decayed(n)], "weight_decay": WEIGHT_DECAY},
        {"params": [p for n, p in model.named_parameters() if not is_decayed(n)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    schedule = get_linear_schedule_with_warmup(optimizer, WARMUP_STEPS, len(batches))
    losses, norms, rates = [], [], []
    for batch in batches:
        rates.append(schedule.get_last_lr()[0])
        optimizer.zero_grad()
        loss = read(model, *batch).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP))
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return {"losses": torch.stack(losses), "grad_norms": torch.stack(norms), "learning_rates": torch.tensor(rates)}


def answers(model, batch, batches):
    """Everything that is compared, of a model that is trained in passing."""
    found = logits_and_gradients(model, batch) | train(model, batches)
    return found | {"final_logits": read(model, *batch).logits}


def check_folder(folder, model, batch, expected):
    """What lies in the folder is what transformers would read back, and has no output layer."""
    reloaded = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(read(reloaded, *batch).logits, expected["logits"])
    with safe_open(folder / "model.safetensors", "pt") as stored:
        names = set(stored.keys())
    assert names == {name for name, _ in model.named_parameters()} and "lm_head.weight" not in names


def check_pooling():
    """With padding on the right the last real token is read, and padding changes nothing."""
    model = random_model(CONFIGS["llama-classifier"]).eval()
    alone = model(input_ids=torch.tensor([[5, 6, 7]])).logits
    ids = torch.tensor([[5, 6, 7, 0, 0], [5, 6, 7, 8, 9]])
    beside = model(input_ids=ids, attention_mask=(ids != 0).long()).logits[:1]
    assert torch.allclose(alone, beside, atol=1e-6)


def write_model(name, config, seed):
    """One folder: the classifier as `save_pretrained` writes it, and `expected.safetensors`."""
    torch.manual_seed(seed)
    folder = MODEL_FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model = random_model(config)
    model.save_pretrained(folder)
    batch = random_batch(LENGTHS, config.num_labels)
    sizes = torch.randint(3, 7, (STEPS,))
    batches = [random_batch(torch.randint(1, 12, (size,)), config.num_labels) for size in sizes]

    exact = answers(copy.deepcopy(model).double(), batch, batches)
    trained = copy.deepcopy(model)
    expected = answers(trained, batch, batches)
    check_folder(folder, model, batch, expected)
    worst = {key.split(".")[0]: 0.0 for key in exact}
    for key, value in exact.items():
        kind = key.split(".")[0]
        worst[kind] = max(worst[kind], float((expected[key] - value).detach().abs().max()))
    assert max(worst.values()) < 1e-4, worst
    print("  f32 against f64:", ", ".join(f"{kind} {value:.0e}" for kind, value in worst.items()))
    save_tensors(folder / "expected.safetensors", packed("", [batch]) | packed("step_", batches) | expected)


def write_loss():
    """The loss alone: rows of states, the head, labels, and the gradients of the summed cross-entropy."""
    hidden, weight = random_input(13, 9), random_input(3, 9)
    rows, labels = torch.tensor([4, 12]), torch.tensor([2, 0])
    loss = F.cross_entropy(F.linear(hidden[rows], weight), labels, reduction="sum")
    d_hidden, d_weight = torch.autograd.grad(loss, (hidden, weight))
    answer = {"loss": loss, "d_hidden": d_hidden, "d_weight": d_weight, "logits": F.linear(hidden[rows], weight)}
    inputs = {"hidden": hidden, "weight": weight, "rows": rows, "labels": labels}
    bias = random_input(3)
    loss = F.cross_entropy(F.linear(hidden[rows], weight, bias), labels, reduction="sum")
    found = torch.autograd.grad(loss, (hidden, weight, bias))
    with_bias = dict(zip(("d_hidden", "d_weight", "d_bias"), found)) | {"bias": bias, "loss": loss}
    answer |= {f"with_bias.{name}": tensor for name, tensor in with_bias.items()}
    save_tensors(ENGINE_FIXTURES / "classifier_loss.safetensors", inputs | answer)


def main():
    """Writes every classifier fixture."""
    make_torch_repeatable()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(50)
    check_pooling()
    write_loss()
    for seed, (name, config) in enumerate(CONFIGS.items(), start=51):
        write_model(name, config, seed)


if __name__ == "__main__":
    main()
