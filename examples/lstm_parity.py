"""An LSTM counts: after every bit of a sequence it says whether it has seen an odd number of ones, and in which place.

Parity is one bit of memory that every one flips; no window of the past is enough to know it. The sequences of a batch
have different lengths, so they are packed, and the LSTM does no work on padding.
Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997 (Neural Computation 9).

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
"""

import os

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_sequence

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
HIDDEN, BATCH, LONGEST = 32, 32, 20
STEPS, REPORT = (8, 2) if SMOKE else (400, 40)


class Counter(nn.Module):
    """Two layers of LSTM, and a score for "odd" from each of their outputs."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(input_size=1, hidden_size=HIDDEN, num_layers=2)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, packed):
        seen, _ = self.lstm(packed)
        return self.out(seen.data).squeeze(1)


def sequences(longest, count=BATCH):
    lengths = torch.randint(2, longest + 1, (count,)).tolist()
    return [torch.randint(0, 2, (n, 1)).float() for n in lengths]


def wrongs(model, bits):
    """The loss of a batch of sequences, and the share of places where it is right about the parity."""
    inputs = pack_sequence(bits, enforce_sorted=False)
    odd = pack_sequence([b.cumsum(0).remainder(2) for b in bits], enforce_sorted=False)
    scores = model(inputs)
    loss = F.binary_cross_entropy_with_logits(scores, odd.data.squeeze(1))
    return loss, ((scores > 0) == (odd.data.squeeze(1) > 0.5)).float().mean()


def main():
    torch.manual_seed(0)
    model = Counter()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    total = 0.0
    for step in range(1, STEPS + 1):
        loss, _ = wrongs(model, sequences(LONGEST))
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        total += loss.item()
        if step % REPORT == 0:
            print(f"step {step:4d}  loss {total / REPORT:.4f}", flush=True)
            total = 0.0
    with torch.no_grad():
        loss, right = wrongs(model, sequences(5 * LONGEST, 100))
    print(f"sequences five times as long: loss {loss.item():.4f}, right in {right.item():.4f} of the places")


if __name__ == "__main__":
    main()
