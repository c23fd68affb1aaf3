"""Writes small Hugging Face models with what transformers computes from them: logits, gradients, ten AdamW steps."""

import copy
import json
import shutil

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, GPT2Config, GPTJConfig, LlamaConfig, OPTConfig, Qwen3Config, logging

from common import MODEL_FIXTURES, cosine_factor, is_decayed, make_torch_repeatable, save_tensors

VOCAB_SIZE = 61
SEQUENCES, TOKENS, STEPS = 3, 11, 10
LEARNING_RATE, WARMUP_STEPS, WEIGHT_DECAY, CLIP = 1e-2, 3, 0.1, 1.0


def gpt2(**changes):
    """A GPT-2 without dropout; its pad token is ordinary, for GPT-2 has no padding row."""
    shape = dict(n_positions=16, n_embd=24, n_layer=2, n_head=4, n_inner=41, layer_norm_epsilon=1e-4)
    dropout = dict(embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0)
    tokens = dict(vocab_size=VOCAB_SIZE, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return GPT2Config(**(shape | dropout | tokens | changes))


def llama(**changes):
    """A LLaMA whose embedding row 0 is padding, which gets no gradient through the lookup."""
    shape = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40)
    rest = dict(max_position_embeddings=16, rms_norm_eps=1e-4, tie_word_embeddings=False)
    tokens = dict(vocab_size=VOCAB_SIZE, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return LlamaConfig(**(shape | rest | tokens | changes))


def opt(**changes):
    """An OPT without dropout, with the padding token in the place that its tokenizer gives it."""
    shape = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, ffn_dim=41, max_position_embeddings=16)
    tokens = dict(vocab_size=VOCAB_SIZE, bos_token_id=2, eos_token_id=2, pad_token_id=1)
    return OPTConfig(**(shape | tokens | dict(dropout=0.0, attention_dropout=0.0) | changes))


def gptj(**changes):
    """A GPT-J without dropout; its pad token is ordinary, for GPT-J has no padding row."""
    shape = dict(n_positions=16, n_embd=24, n_layer=2, n_head=3, n_inner=29, rotary_dim=4, layer_norm_epsilon=1e-4)
    tokens = dict(vocab_size=VOCAB_SIZE, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return GPTJConfig(**(shape | tokens | changes))


def qwen3(**changes):
    """A Qwen3, whose heads together are wider than the states, and whose embedding row 0 is padding."""
    shape = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=6)
    rest = dict(intermediate_size=27, max_position_embeddings=16, rms_norm_eps=1e-4, tie_word_embeddings=False)
    tokens = dict(vocab_size=VOCAB_SIZE, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return Qwen3Config(**(shape | rest | tokens | changes))


# Shapes and constants differ between models so that a reader that takes a default for a stated value is found out.
CONFIGS = {
    "gpt2": gpt2(),
    "gpt2-untied": gpt2(tie_word_embeddings=False, n_embd=20, n_head=2, n_layer=3),
    "llama": llama(num_hidden_layers=3),
    "llama-grouped": llama(
        num_key_value_heads=2,
        intermediate_size=37,
        pad_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    ),
    "llama-tied": llama(tie_word_embeddings=True),
    "opt": opt(),
    "opt-untied": opt(tie_word_embeddings=False, hidden_size=20, num_attention_heads=2, num_hidden_layers=3),
    "gptj": gptj(),
    "gptj-tied": gptj(tie_word_embeddings=True, n_embd=20, n_head=2, rotary_dim=10),
    "qwen3": qwen3(),
    "qwen3-tied": qwen3(
        tie_word_embeddings=True,
        num_attention_heads=2,
        head_dim=8,
        pad_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    ),
}


def random_model(config):
    """A model in which every term matters: wide weights, random biases, gains away from one."""
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_gain = not is_decayed(name) and name.endswith("weight")
            parameter.normal_(1.0, 0.3) if is_gain else parameter.normal_(0.0, 0.15)
    return model


def random_ids(*shape, padding=0):
    """Ids from the whole vocabulary; every sequence also holds the padding id, within and as a target."""
    ids = torch.randint(VOCAB_SIZE, shape)
    ids[..., 4] = padding
    return ids


def forward_and_gradients(model, ids):
    """Logits, final normed hidden state, loss, and the loss's gradient for every parameter."""
    model.zero_grad()
    hidden = model.base_model(input_ids=ids).last_hidden_state
    output = model(input_ids=ids, labels=ids)
    output.loss.backward()
    expected = {"ids": ids, "logits": output.logits, "loss": output.loss, "hidden": hidden}
    return expected | {f"grad.{name}": parameter.grad.clone() for name, parameter in model.named_parameters()}


def train(model, step_ids):
    """Ten AdamW steps in place, each on its own batch."""
    groups = [
        {"params": [p for n, p in model.named_parameters() if is_decayed(n)], "weight_decay": WEIGHT_DECAY},
        {"params": [p for n, p in model.named_parameters() if not is_decayed(n)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, rates = [], [], []
    for step, ids in enumerate(step_ids):
        rates.append(LEARNING_RATE * cosine_factor(step, WARMUP_STEPS, len(step_ids)))
        for group in optimizer.param_groups:
            group["lr"] = rates[-1]
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP))
        optimizer.step()
        losses.append(loss.detach())
    trained = {"losses": torch.stack(losses), "grad_norms": torch.stack(norms), "learning_rates": torch.tensor(rates)}
    return trained | {f"final.{name}": parameter for name, parameter in model.named_parameters()}


def check_folder(folder, model, expected):
    """What lies in the folder is what transformers would read back, and holds parameters only."""
    reloaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(reloaded(input_ids=expected["ids"]).logits, expected["logits"])
    with safe_open(folder / "model.safetensors", "pt") as stored:
        assert set(stored.keys()) == {name for name, _ in model.named_parameters()}
    assert torch.allclose(model.get_output_embeddings()(expected["hidden"]), expected["logits"], atol=1e-5)
    assert all(expected[key].abs().max() > 0 for key in expected if key.startswith("grad."))
    if model.config.model_type not in ("gpt2", "gptj") and not model.config.tie_word_embeddings:
        embedding = next(name for name in expected if name.endswith("embed_tokens.weight"))
        row = expected[embedding][model.config.pad_token_id or 0]
        assert (row.abs().max() == 0) == (model.config.pad_token_id is not None), "the padding row learns nothing"


def rounding_differences(expected, exact):
    """The largest difference between f32 and f64 runs of each kind: how much a test must forgive."""
    worst = {}
    for name in exact:
        difference = (expected[name] - exact[name]).detach().abs()
        if name.endswith("attn.c_attn.bias"):
            third = difference.numel() // 3
            difference[third : 2 * third] = 0  # the key bias: see README
        if name.endswith("k_proj.bias"):
            difference[:] = 0
        kind = name.split(".")[0]
        worst[kind] = max(worst.get(kind, 0.0), float(difference.max()))
    return worst


def write_model(name, config, seed):
    """One folder: the model as `save_pretrained` writes it, and `expected.safetensors`."""
    torch.manual_seed(seed)
    folder = MODEL_FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model = random_model(config)
    model.save_pretrained(folder)
    padding = config.pad_token_id or 0
    ids = random_ids(SEQUENCES, TOKENS, padding=padding)
    step_ids = random_ids(STEPS, SEQUENCES, TOKENS, padding=padding)

    # transformers keeps some parts of LLaMA in f32 even here; rounding still falls differently, which is the point
    double = copy.deepcopy(model).double()
    exact = forward_and_gradients(double, ids) | train(double, step_ids)
    expected = forward_and_gradients(model, ids)
    check_folder(folder, model, expected)
    expected |= {"step_ids": step_ids} | train(model, step_ids)
    worst = rounding_differences(expected, exact)
    assert max(worst.values()) < 1e-4, worst
    save_tensors(folder / "expected.safetensors", expected)
    print("  f32 against f64:", ", ".join(f"{kind} {value:.0e}" for kind, value in worst.items() if value))


def write_sharded(source, name):
    """The same weights as `source` in two files with an index."""
    folder = MODEL_FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_pretrained(MODEL_FIXTURES / source, dtype=torch.float32)
    size = sum(parameter.numel() for parameter in model.parameters()) * 4
    model.save_pretrained(folder, max_shard_size=size * 6 // 10)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) == 2
    reloaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    assert all(torch.equal(reloaded[key], value) for key, value in model.state_dict().items())
    print(f"model/tests/fixtures/{name}: 2 shards, {size / 1024:.1f} KiB")


def main():
    """Writes every model fixture."""
    make_torch_repeatable()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for seed, (name, config) in enumerate(CONFIGS.items(), start=1):
        write_model(name, config, seed)
    write_sharded("llama", "llama-sharded")


if __name__ == "__main__":
    main()
