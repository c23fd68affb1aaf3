"""How far rounding to bf16 moves the loss of fine-tuning small random models, by PyTorch's own autocast.

    python tools/golden/bf16_finetuning.py

For each family and seed: the largest relative difference of the losses of twelve steps between f32 and
`torch.autocast("cpu", dtype=torch.bfloat16)`. It is what the tolerance of `babyllama check --precision bf16` for OPT
stands on: a ReLU, whose gradient jumps where a rounded value changes its sign, makes the loss several times as
sensitive as a smooth activation does.
"""

import torch
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    OPTConfig,
    OPTForSequenceClassification,
)

VOCABULARY, LABELS, STEPS, BATCH = 500, 3, 12, 16


def model(family, seed):
    torch.manual_seed(seed)
    if family == "OPT":
        config = OPTConfig(
            vocab_size=VOCABULARY, hidden_size=64, ffn_dim=256, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, word_embed_proj_dim=64, dropout=0.0, attention_dropout=0.0,
            num_labels=LABELS, pad_token_id=1, init_std=0.05,
        )
        return OPTForSequenceClassification(config)
    if family == "GPT-2":
        config = GPT2Config(
            vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0, num_labels=LABELS, pad_token_id=1, bos_token_id=0, eos_token_id=0, initializer_range=0.05,
        )
        return GPT2ForSequenceClassification(config)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, num_labels=LABELS, pad_token_id=1, initializer_range=0.05,
    )
    return LlamaForSequenceClassification(config)


def examples(seed):
    """Sequences of 4 to 43 ids; every label has ids of its own."""
    random = torch.Generator().manual_seed(seed + 99)
    for number in range(48):
        length = 1 + int(torch.randint(3, 43, (1,), generator=random))
        label = number % LABELS
        yield torch.randint(0, 100, (length,), generator=random) + 100 * label + 2, label


def losses(family, seed, in_bf16):
    classifier = model(family, seed).train()
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-3, weight_decay=0.0)
    data, found = list(examples(seed)), []
    for step in range(STEPS):
        first = step % (len(data) // BATCH) * BATCH
        batch = data[first:first + BATCH]
        width = max(len(ids) for ids, _ in batch)
        ids, mask = torch.full((BATCH, width), 1), torch.zeros(BATCH, width, dtype=torch.long)
        for row, (sequence, _) in enumerate(batch):
            ids[row, :len(sequence)], mask[row, :len(sequence)] = sequence, 1
        labels = torch.tensor([label for _, label in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bf16):
            loss = classifier(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
        optimizer.step()
        found.append(loss.item())
    return found


def main():
    torch.set_num_threads(1)
    for family in ["OPT", "GPT-2", "LLaMA"]:
        worst = []
        for seed in range(5):
            pairs = zip(losses(family, seed, False), losses(family, seed, True))
            worst.append(max(abs(found - exact) / exact for exact, found in pairs))
        print(family, " ".join(f"{value:.1e}" for value in worst))


if __name__ == "__main__":
    main()
