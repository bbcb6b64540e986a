"""A GPT of characters: two blocks of causal self-attention learn a small text, then go on from where it began.

Each position predicts the next character from all before it. A block adds to the stream what its attention heads find
and then what its small network makes of that, each after a layer norm (pre-norm, as in GPT-2). The embedding of the
characters is also the output layer's weight.

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
"""

import math
import os

import torch
import torch.nn.functional as F
from torch import nn

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
CONTEXT, WIDTH, HEADS, BLOCKS, BATCH = 64, 64, 4, 2, 16
STEPS, REPORT = (10, 2) if SMOKE else (600, 50)
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def text():
    """Addition in words: a text with something to learn at every scale: letters, words, grammar, and some sums."""
    lines = []
    for i, a in enumerate(NUMBERS):
        for j, b in enumerate(NUMBERS[: len(NUMBERS) - i]):
            lines += [f"{a} and {b} make {NUMBERS[i + j]}.", f"{b} from {NUMBERS[i + j]} leaves {a}."]
    return "\n".join(lines[i] for i in torch.randperm(len(lines)).tolist())


class Attention(nn.Module):
    """softmax(q k^T / sqrt(d)) v in every head, where position i sees positions 0 to i."""

    def __init__(self):
        super().__init__()
        self.inward, self.outward = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        batch, time, _ = x.shape
        q, k, v = (part.view(batch, time, HEADS, -1).transpose(1, 2) for part in self.inward(x).split(WIDTH, dim=2))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.outward(seen.transpose(1, 2).reshape(batch, time, WIDTH))


class Block(nn.Module):
    """x + attention(norm(x)), and to that again network(norm(.))."""

    def __init__(self):
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.network = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.network(self.norm2(x))


class GPT(nn.Module):
    """Scores for the next character, (batch, time, characters), from codes (batch, time)."""

    def __init__(self, characters):
        super().__init__()
        self.character, self.place = nn.Embedding(characters, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(BLOCKS))), nn.LayerNorm(WIDTH)
        self.scores = nn.Linear(WIDTH, characters, bias=False)
        self.scores.weight = self.character.weight
        for name, p in self.named_parameters():
            if p.dim() > 1:  # what writes into the stream starts smaller, the more blocks write
                nn.init.normal_(
                    p, std=0.02 / math.sqrt(2 * BLOCKS) if "outward" in name or "network.2" in name else 0.02
                )

    def forward(self, codes):
        x = self.character(codes) + self.place(torch.arange(codes.shape[1]))
        return self.scores(self.norm(self.blocks(x)))


@torch.no_grad()
def continued(model, codes, count):
    for _ in range(count):
        scores = model(codes[:, -CONTEXT:])[:, -1]
        codes = torch.cat([codes, torch.multinomial(torch.softmax(scores / 0.5, dim=1), 1)], dim=1)
    return codes


def main():
    torch.manual_seed(0)
    written = text()
    characters = sorted(set(written))
    codes = torch.tensor([characters.index(c) for c in written])
    model = GPT(len(characters))
    print(
        f"{len(written)} characters, {len(characters)} of them different; {sum(p.numel() for p in model.parameters())} weights"
    )
    adam = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    fade = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    windows = codes.unfold(0, CONTEXT + 1, 1)
    total = 0.0
    for step in range(1, STEPS + 1):
        batch = windows[torch.randint(len(windows), (BATCH,))]
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        fade.step()
        total += loss.item()
        if step % REPORT == 0:
            print(f"step {step:4d}  loss {total / REPORT:.4f}", flush=True)
            total = 0.0
    if not SMOKE:
        sample = continued(model, torch.tensor([[characters.index("\n")]]), 200)
        print("".join(characters[i] for i in sample[0].tolist()))


if __name__ == "__main__":
    main()
