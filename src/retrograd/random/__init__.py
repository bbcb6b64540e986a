"""Generators of random numbers, and draws that reproduce PyTorch's CPU streams bit for bit."""

from retrograd.random.choices import multinomial
from retrograd.random.generator import DEFAULT_SEED, Generator, default_generator
from retrograd.random.integers import randint, random_, randperm
from retrograd.random.inverses import cauchy, exponential, geometric
from retrograd.random.normals import log_normal, normal, truncated_normal
from retrograd.random.rejections import binomial, dirichlet, poisson, standard_gamma
from retrograd.random.uniforms import bernoulli, bernoulli_scalar, dropout_mask, place, uniform

__all__ = [
    "DEFAULT_SEED",
    "Generator",
    "bernoulli",
    "bernoulli_scalar",
    "binomial",
    "cauchy",
    "default_generator",
    "dirichlet",
    "dropout_mask",
    "exponential",
    "geometric",
    "log_normal",
    "multinomial",
    "normal",
    "place",
    "poisson",
    "randint",
    "random_",
    "randperm",
    "standard_gamma",
    "truncated_normal",
    "uniform",
]
