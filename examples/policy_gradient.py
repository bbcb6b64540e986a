"""Policy gradient: a network learns to balance a pole on a cart by trying, and doing more of what went well.

REINFORCE: the gradient of the expected return is the mean of grad log pi(action | state) * (return - baseline), where
the return is the discounted sum of the rewards that follow. The cart, the pole and their equations of motion are below;
one point is given for every step until the pole is 12 degrees off or the cart 2.4 metres away, 200 steps at most.
Sources: Williams, 1992 (Machine Learning 8); the equations of motion: Barto, Sutton and Anderson, 1983.

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
"""

import math
import os

import torch
from torch import nn
from torch.distributions import Categorical

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
CARTS, LONGEST, DISCOUNT = 16, 200, 0.98
ROUNDS, REPORT = (4, 1) if SMOKE else (60, 5)
GRAVITY, CART, POLE, HALF_LENGTH, FORCE, TICK = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02


def moved(state, push):
    """The state of every cart after one tick of a push to the left (0) or to the right (1)."""
    place, speed, angle, turning = state.unbind(1)
    force, mass = (2 * push - 1) * FORCE, CART + POLE
    sine, cosine = angle.sin(), angle.cos()
    pushed = (force + POLE * HALF_LENGTH * turning**2 * sine) / mass
    turn = (GRAVITY * sine - cosine * pushed) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / mass))
    gain = pushed - POLE * HALF_LENGTH * turn * cosine / mass
    return torch.stack([place + TICK * speed, speed + TICK * gain, angle + TICK * turning, turning + TICK * turn], 1)


def tried(policy):
    """Let every cart run until its pole falls: log-probabilities of what was done, and whether it still stood (T, CARTS)."""
    state, stands = torch.rand(CARTS, 4) * 0.1 - 0.05, torch.ones(CARTS, dtype=torch.bool)
    chances, standing = [], []
    while stands.any() and len(standing) < LONGEST:
        choice = Categorical(logits=policy(state))
        action = choice.sample()
        chances.append(choice.log_prob(action))
        standing.append(stands)
        state = moved(state, action)
        stands = stands & (state[:, 0].abs() < 2.4) & (state[:, 2].abs() < math.radians(12))
    return torch.stack(chances), torch.stack(standing)


def returns(standing):
    """Discounted sum of the points still to come, at every step of every cart."""
    after, sums = torch.zeros(CARTS), []
    for points in standing.float().flip(0):
        after = points + DISCOUNT * after
        sums.append(after)
    return torch.stack(sums).flip(0)


def main():
    torch.manual_seed(0)
    policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    adam = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for round in range(1, ROUNDS + 1):
        chances, standing = tried(policy)
        gains = returns(standing)
        advantage = (gains - gains[standing].mean()) / gains[standing].std()
        loss = -(chances * advantage)[standing].mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if round % REPORT == 0:
            print(
                f"round {round:3d}  loss {loss.item():+.4f}  steps balanced {standing.sum(0).float().mean().item():.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
