"""A global and an attribute of one name: only what the code looks up among globals is guarded."""

from __future__ import annotations

import retrograd as torch
from retrograd import nn

t = torch.zeros(1)  # changes from call to call, and Shifted has an attribute of its name
factor = 2.0


class Shifted(nn.Module):
    def __init__(self):
        super().__init__()
        self.t = nn.Linear(3, 3)

    def forward(self, x):
        return self.t(x) * factor


def test_a_global_with_an_attributes_name_may_change():
    global t, factor
    torch.manual_seed(0)
    net = Shifted()
    compiled = torch.compile(net, fullgraph=True)
    for k in range(12):
        t = torch.full((1,), float(k))
        x = torch.randn(2, 3)
        assert torch.allclose(compiled(x), net(x), atol=1e-6)
    assert sum(map(len, compiled._compiled.entries.values())) == 1
    factor = 3.0  # which the code does read
    assert torch.allclose(compiled(x), net(x), atol=1e-6)
    factor = 2.0
