"""A Neural Turing Machine learns to copy: it sees random bits, then an end mark, and must say the bits again.

An LSTM controls one write head and one read head on a memory of SLOTS rows. A head finds rows by content (cosine
similarity to a key) or by place (the rows it was on, shifted by -1, 0 or 1); everything is soft, so everything has a
gradient. Guessing costs 1 bit per bit; below 0.1 the machine has learned an algorithm: write down, rewind, read out.
Source: Graves, Wayne and Danihelka, Neural Turing Machines, 2014 (arXiv:1410.5401), sections 3 and 4.1.

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
"""

import math
import os

import torch
import torch.nn.functional as F
from torch import nn

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
BITS, LONGEST, BATCH = 6, 8, 32
SLOTS, WIDTH, HIDDEN = 16, 12, 64
STEPS, REPORT = (12, 4) if SMOKE else (1500, 100)


class Head(nn.Module):
    """Where to look next: content, then a gate, a shift and a sharpening (equations 5 to 9 of the paper)."""

    def __init__(self, extra=0):
        super().__init__()
        self.sizes = [WIDTH, 1, 1, 3, 1, extra]
        self.emit = nn.Linear(HIDDEN, sum(self.sizes))

    def forward(self, hidden, memory, before):
        key, strength, gate, shift, sharpness, rest = self.emit(hidden).split(self.sizes, dim=1)
        similarity = F.cosine_similarity(memory, torch.tanh(key).unsqueeze(1), dim=2)
        content = torch.softmax(F.softplus(strength) * similarity, dim=1)
        gate, shift = torch.sigmoid(gate), torch.softmax(shift, dim=1)
        w = gate * content + (1 - gate) * before
        w = shift[:, :1] * w.roll(-1, 1) + shift[:, 1:2] * w + shift[:, 2:] * w.roll(1, 1)
        w = (w + 1e-8) ** (1 + F.softplus(sharpness))
        return w / w.sum(1, keepdim=True), rest


class Machine(nn.Module):
    """An LSTM that at each step writes to the memory, reads from it, and says BITS scores."""

    def __init__(self):
        super().__init__()
        self.controller = nn.LSTMCell(BITS + 1 + WIDTH, HIDDEN)
        self.write, self.read = Head(extra=2 * WIDTH), Head()
        self.out = nn.Linear(HIDDEN + WIDTH, BITS)

    def forward(self, inputs):
        batch = inputs.shape[1]
        memory = torch.full((batch, SLOTS, WIDTH), 1e-3)
        first = F.one_hot(torch.zeros(batch, dtype=torch.long), SLOTS).float()
        wrote, looked, seen, state, outputs = first, first, torch.zeros(batch, WIDTH), None, []
        for x in inputs:
            state = self.controller(torch.cat([x, seen], 1), state)
            wrote, rest = self.write(state[0], memory, wrote)
            erase, add = torch.sigmoid(rest[:, :WIDTH]), torch.tanh(rest[:, WIDTH:])
            at = wrote.unsqueeze(2)
            memory = memory * (1 - at * erase.unsqueeze(1)) + at * add.unsqueeze(1)
            looked, _ = self.read(state[0], memory, looked)
            seen = (looked.unsqueeze(1) @ memory).squeeze(1)
            outputs.append(self.out(torch.cat([state[0], seen], 1)))
        return torch.stack(outputs)


def copies(length):
    """Random bits, an end mark on a line of its own, and silence while the answer is given."""
    bits = torch.randint(0, 2, (length, BATCH, BITS)).float()
    inputs = torch.zeros(2 * length + 1, BATCH, BITS + 1)
    inputs[:length, :, :BITS] = bits
    inputs[length, :, BITS] = 1
    return inputs, bits


def main():
    torch.manual_seed(0)
    machine = Machine()
    adam = torch.optim.Adam(machine.parameters(), lr=3e-3)
    total = 0.0
    for step in range(1, STEPS + 1):
        length = int(torch.randint(1, LONGEST + 1, ()))
        inputs, bits = copies(length)
        loss = F.binary_cross_entropy_with_logits(machine(inputs)[length + 1 :], bits)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(machine.parameters(), 10.0)
        adam.step()
        total += loss.item() / math.log(2)
        if step % REPORT == 0:
            print(f"step {step:5d}  loss {total / REPORT:.4f} bits per bit", flush=True)
            total = 0.0


if __name__ == "__main__":
    main()
