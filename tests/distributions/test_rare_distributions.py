"""What can be checked of the rarer distributions without another library: modes, gradients, and draws against densities."""

from __future__ import annotations

import retrograd as torch

D = torch.distributions


def test_kumaraswamys_mode_is_where_its_density_is_highest() -> None:
    d = D.Kumaraswamy(torch.tensor([2.0, 3.0]), torch.tensor([2.0, 1.5]))
    x = torch.linspace(0.001, 0.999, 20001).unsqueeze(-1)
    highest = x[d.log_prob(x).argmax(0)].squeeze(-1)
    assert torch.allclose(d.mode, highest, atol=1e-3)


def test_wishart_draws_carry_gradients_and_have_the_mean() -> None:
    torch.manual_seed(0)
    low = torch.tensor([[1.0, 0.0], [0.5, 0.8]], dtype=torch.float64, requires_grad=True)
    d = D.Wishart(torch.tensor(6.0, dtype=torch.float64), scale_tril=low)
    draws = d.rsample((4000,))
    draws.mean(0).sum().backward()
    expected = torch.autograd.grad(d.mean.sum(), low)[0]
    assert torch.allclose(draws.mean(0), d.mean, rtol=0.05)
    assert torch.allclose(low.grad.tril(), expected.tril(), rtol=0.1)


def test_generalized_pareto_in_float64() -> None:
    k = torch.tensor([-0.4, 0.0, 0.3], dtype=torch.float64)
    d = D.GeneralizedPareto(torch.zeros(3).double(), torch.ones(3).double(), k)
    u = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    assert torch.allclose(d.cdf(d.icdf(u)), u)


def test_von_mises_draws_gather_around_the_direction() -> None:
    torch.manual_seed(1)
    draws = D.VonMises(1.0, 8.0).sample((4000,))
    assert abs(float(torch.atan2(draws.sin().mean(), draws.cos().mean())) - 1.0) < 0.03
