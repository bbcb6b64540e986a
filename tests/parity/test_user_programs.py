"""Programs as courses write them give the same numbers under both libraries: each is one function of the namespace."""

import copy
import math
import sys
import warnings

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

PROGRAMS = []


def program(fn):
    PROGRAMS.append(fn)
    return fn


def digits(T, count=256):
    from sklearn.datasets import load_digits

    data = load_digits()
    return T.from_numpy(data.data[:count].astype(np.float32)) / 16, T.from_numpy(data.target[:count]).long()


def fit(T, model, optimizer, x, y, steps, loss=None):
    loss = loss or T.nn.CrossEntropyLoss()
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        yield value.item()


@program
def sine_by_hand_by_autograd_and_by_a_function_of_ones_own(T):
    x = T.linspace(-math.pi, math.pi, 500)
    y = T.sin(x)
    a, b, c, d = (T.randn(()) for _ in range(4))
    for _ in range(20):
        slope = 2.0 * (a + b * x + c * x**2 + d * x**3 - y)
        a -= 1e-5 * slope.sum()
        b -= 1e-5 * (slope * x).sum()
        c -= 1e-5 * (slope * x**2).sum()
        d -= 1e-5 * (slope * x**3).sum()
    yield from (a, b, c, d)

    class Legendre(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return 0.5 * (5 * x**3 - 3 * x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 1.5 * (5 * x**2 - 1)

    weights = [T.full((), v, requires_grad=True) for v in (0.0, -1.0, 0.0, 0.3)]
    for _ in range(20):
        loss = (weights[0] + weights[1] * Legendre.apply(weights[2] + weights[3] * x) - y).pow(2).sum()
        loss.backward()
        with T.no_grad():
            for w in weights:
                w -= 5e-6 * w.grad
                w.grad = None
    yield loss
    yield from weights


@program
def foundations_with_hooks_and_lsuv(T):
    nn, F = T.nn, T.nn.functional

    class GeneralRelu(nn.Module):
        def __init__(self, leak=0.1, sub=0.4, most=6.0):
            super().__init__()
            self.leak, self.sub, self.most = leak, sub, most

        def forward(self, x):
            x = F.leaky_relu(x, self.leak)
            x.sub_(self.sub)
            x.clamp_max_(self.most)
            return x

    class Lambda(nn.Module):
        def __init__(self, f):
            super().__init__()
            self.f = f

        def forward(self, x):
            return self.f(x)

    x, y = digits(T)
    model = nn.Sequential(
        Lambda(lambda x: x.view(-1, 1, 8, 8)),
        nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), GeneralRelu()),
        nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), GeneralRelu()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    seen = {}
    with T.no_grad():
        for block in model[1:3]:
            nn.init.kaiming_uniform_(block[0].weight, a=0.1)
            handle = block.register_forward_hook(
                lambda m, i, o: seen.update(mean=o.data.mean().item(), std=o.data.std().item())
            )
            while model(x) is not None and abs(seen["std"] - 1) > 1e-2:
                block[0].weight.data /= seen["std"]
            handle.remove()
            yield seen["std"]
    yield from fit(T, model, T.optim.SGD(model.parameters(), lr=0.3), x, y, 10)


@program
def softmax_and_batch_norm_backward_by_hand(T):
    F, n = T.nn.functional, 32
    x, y = digits(T, n)
    w1, w2 = T.randn(64, 20) * 0.2, T.randn(20, 10) * 0.1
    gain, bias = T.ones(1, 20), T.zeros(1, 20)
    for p in (w1, w2, gain, bias):
        p.requires_grad = True
    before = x @ w1
    centred = before - 1 / n * before.sum(0, keepdim=True)
    inverse = (1 / (n - 1) * (centred**2).sum(0, keepdim=True) + 1e-5) ** -0.5
    raw = centred * inverse
    h = T.tanh(gain * raw + bias)
    logits = h @ w2
    shifted = logits - logits.max(1, keepdim=True).values
    counts = shifted.exp()
    probs = counts * counts.sum(1, keepdims=True) ** -1
    loss = -probs.log()[range(n), y].mean()
    for t in (logits, h, before):
        t.retain_grad()
    loss.backward()
    yield from (loss, w1.grad, w2.grad, gain.grad, bias.grad)
    d = F.softmax(logits, 1)
    d[range(n), y] -= 1
    d /= n
    dh = (1 - h**2) * (d @ w2.T)
    dx = gain * inverse / n * (n * dh - dh.sum(0) - n / (n - 1) * raw * (dh * raw).sum(0))
    assert T.allclose(d, logits.grad, atol=1e-6)
    assert T.allclose(dx, before.grad, atol=1e-6)


@program
def convolutional_net_with_checkpoint_and_resume(T):
    import io

    nn, F = T.nn, T.nn.functional
    x, y = digits(T)
    loader = T.utils.data.DataLoader(T.utils.data.TensorDataset(x.view(-1, 1, 8, 8), y), batch_size=64, shuffle=True)

    def make():
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Dropout2d(0.25),
            nn.Flatten(),
            nn.Linear(72, 10),
            nn.LogSoftmax(dim=1),
        )
        optimizer = T.optim.Adadelta(model.parameters(), lr=1.0)
        return model, optimizer, T.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)

    model, optimizer, schedule = made = make()
    for epoch in range(3):
        if epoch == 2:
            file = io.BytesIO()
            T.save({"parts": [part.state_dict() for part in made], "rng": T.get_rng_state()}, file)
            file.seek(0)
            held = T.load(file)
            made = make()
            for part, state in zip(made, held["parts"]):
                part.load_state_dict(state)
            T.set_rng_state(held["rng"])
            model, optimizer, schedule = made
        model.train()
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = F.nll_loss(model(xb), yb)
            loss.backward()
            optimizer.step()
        schedule.step()
        model.eval()
        with T.no_grad():
            yield from (loss, F.nll_loss(model(x.view(-1, 1, 8, 8)), y, reduction="sum"), schedule.get_last_lr()[0])


@program
def residual_net_with_frozen_layers_and_class_activation_map(T):
    nn, F = T.nn, T.nn.functional

    class Block(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.a, self.b = nn.Conv2d(i, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
            self.relu = nn.ReLU(inplace=True)
            self.down = nn.Sequential(nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o))

        def forward(self, x):
            out = self.b(self.a(x))
            out += self.down(x)
            return self.relu(out)

    model = nn.Sequential(Block(1, 6), nn.MaxPool2d(3, 2, 1), Block(6, 8), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())
    model.add_module("fc", nn.Linear(8, 10))
    for p in model[0].parameters():
        p.requires_grad_(False)
    x, y = digits(T, 64)
    x = x.view(-1, 1, 8, 8)
    optimizer = T.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.1, momentum=0.9, nesterov=True)
    yield from fit(T, model, optimizer, x, y, 6, T.nn.CrossEntropyLoss(label_smoothing=0.1))
    model.requires_grad_(True)
    kept, grads = [], []
    handles = [
        model[2].register_forward_hook(lambda m, i, o: kept.append(o)),
        model[2].register_full_backward_hook(lambda m, gi, go: grads.append(go[0])),
    ]
    model.eval()
    out = model(x[:1])
    out[0, out.argmax()].backward()
    for handle in handles:
        handle.remove()
    cam = F.relu((grads[0].mean(dim=(2, 3), keepdim=True) * kept[0]).sum(1))
    yield F.interpolate(cam[None], size=(8, 8), mode="bilinear", align_corners=False)


@program
def variational_autoencoder_and_adversarial_pair(T):
    nn, F = T.nn, T.nn.functional
    x, _ = digits(T, 128)
    encoder, decoder = nn.Linear(64, 8), nn.Linear(4, 64)
    optimizer = T.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    for _ in range(8):
        mu, logvar = encoder(x).chunk(2, dim=1)
        z = mu + T.randn_like(mu) * T.exp(0.5 * logvar)
        loss = F.binary_cross_entropy(T.sigmoid(decoder(z)), x, reduction="sum")
        loss = loss - 0.5 * T.sum(1 + logvar - mu.pow(2) - logvar.exp())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss
    critic = nn.Sequential(nn.Linear(2, 16), nn.ReLU(True), nn.Linear(16, 1))
    maker = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 2))
    moves = [T.optim.Adam(m.parameters(), lr=1e-3, betas=(0.5, 0.9)) for m in (critic, maker)]
    for _ in range(5):
        real, fake = T.randn(32, 2) * 0.1, maker(T.randn(32, 2))
        part = T.rand(32, 1).expand(real.size())
        between = T.autograd.Variable(part * real + (1 - part) * fake.detach(), requires_grad=True)
        score = critic(between)
        (slope,) = T.autograd.grad(
            outputs=score,
            inputs=between,
            grad_outputs=T.ones(score.size()),
            create_graph=True,
            retain_graph=True,
            only_inputs=True,
        )
        penalty = ((slope.norm(2, dim=1) - 1) ** 2).mean() * 10
        critic.zero_grad()
        (critic(fake.detach()).mean() - critic(real).mean() + penalty).backward()
        moves[0].step()
        maker.zero_grad()
        (-critic(fake).mean()).backward()
        moves[1].step()
        yield penalty


@program
def character_gpt(T):
    nn, F = T.nn, T.nn.functional
    text = "to be or not to be that is the question " * 6
    letters = sorted(set(text))
    data = T.tensor([letters.index(c) for c in text], dtype=T.long)

    class Attention(nn.Module):
        def __init__(self, n=16, heads=2, size=8):
            super().__init__()
            self.qkv, self.out, self.heads = nn.Linear(n, 3 * n), nn.Linear(n, n), heads
            self.drop = nn.Dropout(0.1)
            self.register_buffer("mask", T.tril(T.ones(size, size)).view(1, 1, size, size))

        def forward(self, x):
            b, t, c = x.size()
            q, k, v = (p.view(b, t, self.heads, c // self.heads).transpose(1, 2) for p in self.qkv(x).split(c, dim=2))
            a = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            a = self.drop(F.softmax(a.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf")), dim=-1))
            return self.out((a @ v).transpose(1, 2).contiguous().view(b, t, c))

    class Block(nn.Module):
        def __init__(self, n=16):
            super().__init__()
            self.n1, self.n2, self.a = nn.LayerNorm(n), nn.LayerNorm(n), Attention(n)
            self.m = nn.Sequential(nn.Linear(n, 4 * n), nn.GELU(), nn.Linear(4 * n, n), nn.Dropout(0.1))

        def forward(self, x):
            x = x + self.a(self.n1(x))
            return x + self.m(self.n2(x))

    class GPT(nn.Module):
        def __init__(self, vocabulary):
            super().__init__()
            self.parts = nn.ModuleDict({"token": nn.Embedding(vocabulary, 16), "place": nn.Embedding(8, 16)})
            self.blocks, self.norm = nn.ModuleList([Block() for _ in range(2)]), nn.LayerNorm(16)
            self.head = nn.Linear(16, vocabulary, bias=False)
            self.parts.token.weight = self.head.weight
            self.apply(self.begin)

        def begin(self, m):
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, mean=0.0, std=0.02)

        def forward(self, i, targets=None):
            x = self.parts.token(i) + self.parts.place(T.arange(i.size(1), device=i.device))
            for block in self.blocks:
                x = block(x)
            logits = self.head(self.norm(x))
            if targets is None:
                return logits, None
            return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)

    model = GPT(len(letters))
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    optimizer = T.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-2
    )
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * min(1, (step + 1) / 5)
        for _ in range(2):
            at = T.randint(len(data) - 8, (8,))
            x = T.stack([data[i : i + 8] for i in at])
            loss = model(x, T.stack([data[i + 1 : i + 9] for i in at]))[1]
            (loss / 2).backward()
        yield T.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield loss
    model.eval()
    said = T.zeros((1, 1), dtype=T.long)
    with T.no_grad():
        for _ in range(10):
            logits = model(said[:, -8:])[0][:, -1, :]
            most, _ = T.topk(logits, 5)
            logits[logits < most[:, [-1]]] = -float("Inf")
            said = T.cat((said, T.multinomial(F.softmax(logits, dim=-1), num_samples=1)), dim=1)
    yield said


@program
def recurrent_net_by_hand_fitted_by_lbfgs(T):
    nn = T.nn
    t = T.arange(40, dtype=T.float64)
    waves = T.stack([T.sin(t / 4 + k) for k in range(4)])

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.x, self.h, self.out = nn.Linear(1, 24), nn.Linear(6, 24), nn.Linear(6, 1)

        def forward(self, series):
            h = c = T.zeros(series.size(0), 6, dtype=T.double)
            outs = []
            for x in series.split(1, dim=1):
                i, f, g, o = (self.x(x) + self.h(h)).chunk(4, 1)
                c = T.sigmoid(f) * c + T.sigmoid(i) * T.tanh(g)
                h = T.sigmoid(o) * T.tanh(c)
                outs += [self.out(h)]
            return T.cat(outs, dim=1)

    model = Cell().double()
    optimizer = T.optim.LBFGS(model.parameters(), lr=0.8, max_iter=4)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(waves[:, :-1]), waves[:, 1:])
        loss.backward()
        return loss

    for _ in range(3):
        yield optimizer.step(closure)


@program
def policy_gradient(T):
    import random

    F = T.nn.functional
    random.seed(0)
    policy = T.nn.Sequential(T.nn.Linear(2, 16), T.nn.Dropout(p=0.2), T.nn.ReLU(), T.nn.Linear(16, 2))
    optimizer = T.optim.Adam(policy.parameters(), lr=1e-2)
    for _ in range(4):
        place, rewards, logs = [random.uniform(-1, 1), 0.0], [], []
        for _ in range(15):
            probs = F.softmax(policy(T.tensor(place).float().unsqueeze(0)), dim=1)
            action = T.multinomial(probs, 1)
            logs.append(T.log(probs.gather(1, action)))
            place[1] = 0.9 * place[1] + (0.2 if action.item() else -0.2)
            place[0] += 0.1 * place[1]
            rewards.append(-abs(place[0]))
        total, returns = 0.0, []
        for r in rewards[::-1]:
            returns.insert(0, total := r + 0.99 * total)
        returns = T.tensor(returns)
        returns = (returns - returns.mean()) / (returns.std() + np.finfo(np.float32).eps.item())
        loss = T.cat([-log * r for log, r in zip(logs, returns)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss


@program
def derivatives_of_derivatives(T):
    F, grad = T.nn.functional, T.autograd.grad
    net = T.nn.Sequential(T.nn.Linear(1, 10), T.nn.Tanh(), T.nn.Linear(10, 1))
    weights = list(net.parameters())
    x = T.rand(16, 1, requires_grad=True)
    u = net(x)
    du = grad(u, x, T.ones_like(u), create_graph=True)[0]
    ddu = grad(du, x, T.ones_like(du), create_graph=True)[0]
    residual = ((ddu + math.pi**2 * T.sin(math.pi * x)) ** 2).mean()
    yield residual
    yield from grad(residual, weights[:3], create_graph=True)
    loss = net(x.detach()).pow(2).mean()
    slopes = grad(loss, weights, create_graph=True)
    yield from grad(slopes, weights, [T.ones_like(w) for w in weights], retain_graph=True)

    def forward(x, w):
        return F.linear(F.relu(F.linear(x, w[0], w[1])), w[2], w[3])

    total = 0
    for _ in range(2):
        size, xs = T.rand(1) * 4, T.rand(10, 1) * 10 - 5
        fast = weights
        for _ in range(2):
            inner = grad(F.mse_loss(forward(xs, fast), size * T.sin(xs)), fast, create_graph=True)
            fast = [w - 0.01 * g for w, g in zip(fast, inner)]
        total = total + F.mse_loss(forward(xs, fast), size * T.sin(xs))
    net.zero_grad()
    total.backward()
    yield total
    yield from (w.grad for w in weights)
    # a net of relus has second derivatives: zeros
    y = forward(x, weights)
    dy = grad(y.sum(), x, create_graph=True)[0]
    yield from (dy, grad(dy.sum(), x)[0])
    yield T.autograd.functional.hessian(lambda a: (a.exp() * a.flip(0)).sum(), T.tensor([0.1, 0.2]))
    yield T.autograd.functional.jacobian(lambda a: T.stack([a.prod(), a.norm()]), T.tensor([1.0, 2.0, 3.0]))


@program
def an_optimizer_a_schedule_and_averages_of_ones_own(T):
    class Lion(T.optim.Optimizer):
        def __init__(self, params, lr=1e-3, betas=(0.9, 0.99)):
            super().__init__(params, {"lr": lr, "betas": betas})

        @T.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if len(state) == 0:
                        state["m"] = T.zeros_like(p)
                    m, (b1, b2) = state["m"], group["betas"]
                    p.add_(m.clone().mul_(b1).add(p.grad, alpha=1 - b1).sign_(), alpha=-group["lr"])
                    m.mul_(b2).add_(p.grad, alpha=1 - b2)

    class Warm(T.optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base * min(1, (self.last_epoch + 1) / 5) for base in self.base_lrs]

    x, y = digits(T)
    train, valid = T.utils.data.random_split(
        T.utils.data.TensorDataset(x, y), [0.75, 0.25], generator=T.Generator().manual_seed(42)
    )
    model = T.nn.Sequential(T.nn.Linear(64, 24), T.nn.Mish(), T.nn.Linear(24, 10))
    average = copy.deepcopy(model)
    optimizer = Lion(model.parameters(), 1e-2)
    schedule, best, patience = Warm(optimizer), float("inf"), 0
    for _ in range(3):
        for xb, yb in T.utils.data.DataLoader(train, 32, shuffle=True, drop_last=True):
            loss = T.nn.functional.cross_entropy(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with T.no_grad():
                for a, p in zip(average.state_dict().values(), model.state_dict().values()):
                    a.mul_(0.9).add_(p, alpha=0.1)
        with T.inference_mode():
            xb, yb = next(iter(T.utils.data.DataLoader(valid, len(valid))))
            now = T.nn.functional.cross_entropy(average(xb), yb).item()
        best, patience = (now, 0) if now < best else (best, patience + 1)
        yield from (loss, now, patience, schedule.get_last_lr()[0])


@program
def rotary_positions_by_complex_numbers_and_a_cache(T):
    F = T.nn.functional
    angles = T.outer(T.arange(6), 1.0 / (100.0 ** (T.arange(0, 8, 2)[:4].float() / 8))).float()
    turn = T.polar(T.ones_like(angles), angles)

    def rotate(x):
        pairs = T.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return T.view_as_real(pairs * turn[None, : x.shape[1]]).flatten(2).type_as(x)

    w = T.randn(8, 24, requires_grad=True)
    x = T.randn(2, 6, 8)
    q, k, v = (x @ w).split(8, dim=-1)
    mask = T.triu(T.full((6, 6), float("-inf")), diagonal=1)
    out = F.softmax(rotate(q) @ rotate(k).transpose(-2, -1) / math.sqrt(8) + mask, dim=-1) @ v
    norm = out * T.rsqrt(out.pow(2).mean(-1, keepdim=True) + 1e-6)
    (norm * F.silu(out)).sum().backward()
    yield from (out, w.grad)
    cache = T.zeros(2, 6, 8)
    with T.no_grad():
        for i in range(6):
            cache[:, i : i + 1] = v[:, i : i + 1]
        order, index = T.sort(T.softmax(cache.sum(-1), -1), dim=-1, descending=True)
        kept = order.masked_fill(T.cumsum(order, -1) - order > 0.9, 0.0)
        kept.div_(kept.sum(-1, keepdim=True))
        yield T.gather(index, -1, T.multinomial(kept, num_samples=1))


IN_PLACE = [
    ("sin_", ()),
    ("cos_", ()),
    ("pow_", (2,)),
    ("square_", ()),
    ("clamp_", (0.2,)),
    ("clamp_max_", (0.5,)),
    ("abs_", ()),
    ("log1p_", ()),
    ("exp_", ()),
    ("sigmoid_", ()),
    ("tanh_", ()),
    ("relu_", ()),
    ("div_", (3,)),
    ("addcmul_", "ww"),
    ("mul_", "w"),
    ("div_", "w"),
    ("sub_", "w"),
    ("atan2_", "w"),
    ("lerp_", ("w", 0.3)),
]


@program
def activations_in_place(T):
    for name, arguments in IN_PLACE:
        x, w = (T.tensor([0.3, 0.7, -0.2], requires_grad=True) for _ in range(2))
        y = x * 1.5 + 1e-3
        getattr(y, name)(*(w * 2 if a == "w" else a for a in arguments)).sum().backward()
        yield from (x.grad, w.grad if w.grad is not None else 0)


def results(T, run):
    T.manual_seed(1)
    found = run(T)
    return [v.detach().tolist() if hasattr(v, "detach") else v for v in found]


@pytest.mark.parametrize("run", PROGRAMS, ids=lambda run: run.__name__)
def test_the_same_numbers(run):
    ours, theirs = results(retrograd, run), results(torch, run)
    assert len(ours) == len(theirs) > 0
    for place, (one, other) in enumerate(zip(ours, theirs)):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5, err_msg=f"value {place} of {run.__name__}")


@pytest.mark.parametrize("T", [retrograd, torch], ids=["ours", "theirs"])
def test_an_operand_that_is_overwritten_too_is_an_error(T):
    y = T.ones(2, requires_grad=True) * 2
    y *= y
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(2, 1, 28, 28), (2, 3, 7, 1), (2, 1, 5, 6, 11)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_points_of_an_identity_map_are_the_same_to_the_bit(size, corners, dtype):
    if corners and min(size[2:]) == 1:
        pytest.skip("warns")
    d = len(size) - 2

    def points(T):
        theta = T.eye(d, d + 1, dtype=getattr(T, dtype)).repeat(2, 1, 1)
        return T.nn.functional.affine_grid(theta, size, align_corners=corners).numpy()

    assert np.array_equal(points(torch), points(retrograd))


def test_a_step_through_an_identity_map_stays_compiled():
    theta = retrograd.eye(2, 3)[None].requires_grad_()

    def sampled(theta, x):
        F = retrograd.nn.functional
        return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False).sum()

    step, x = retrograd.compile(sampled, fullgraph=True), retrograd.rand(1, 1, 6, 6)
    for _ in range(3):
        assert float(step(theta, x).detach()) == pytest.approx(float(sampled(theta, x).detach()), rel=1e-5)


def test_evenly_spaced_numbers_are_the_same_to_the_bit():
    for start, end, steps in [
        (0, 1, 5),
        (-math.pi, math.pi, 2000),
        (1e-3, 7.7, 37),
        (10, -3, 64),
        (3, 3, 1),
        (0, 1, 0),
    ]:
        for dtype in ("float32", "float64", "float16", "int64"):
            ours, theirs = (T.linspace(start, end, steps, dtype=getattr(T, dtype)) for T in (retrograd, torch))
            assert ours.numpy().tobytes() == theirs.numpy().tobytes(), (start, end, steps, dtype)
        values = torch.linspace(start, end, max(steps, 2))
        for bins in (4, 7, 30):
            ours = retrograd.histc(retrograd.from_numpy(values.numpy()), bins)
            assert ours.tolist() == torch.histc(values, bins).tolist(), (start, end, steps, bins)
    np.testing.assert_allclose(retrograd.logspace(-3, 2, 50), torch.logspace(-3, 2, 50), rtol=1e-6)
    assert retrograd.eye(2, 3).tolist() == torch.eye(2, 3).tolist()
    assert retrograd.vander(retrograd.arange(3)).tolist() == torch.vander(torch.arange(3)).tolist()


def test_a_number_taken_from_a_tensor_that_wants_a_gradient_warns_once(monkeypatch):
    monkeypatch.setattr(sys.modules["retrograd.tensor.interop"], "_told", set())
    x = retrograd.ones((), requires_grad=True)
    with pytest.warns(UserWarning, match="Converting a tensor with requires_grad=True to a scalar"):
        float(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        float(x)
        x.item()
        f"{x:.2f}"


def test_types_and_functions_have_torchs_names():
    import pickle

    assert str(type(retrograd.ones(1))) == str(type(torch.ones(1)))
    assert str(type(retrograd.ones(1).shape)) == str(type(torch.ones(1).shape))
    assert str(type(retrograd.nn.Linear(1, 1).weight)) == str(type(torch.nn.Linear(1, 1).weight))
    for name in ("sqrt", "matmul", "cat", "linspace", "zeros"):
        assert pickle.loads(pickle.dumps(getattr(retrograd, name))) is getattr(retrograd, name)


@pytest.mark.parametrize("wrong", [None, (1, 2), [1.0], np.ones((2, 4), np.float32), "text"], ids=str)
@pytest.mark.parametrize("layer", ["Linear(4, 2)", "ReLU()", "Embedding(3, 2)", "MaxPool2d(2)", "LayerNorm(4)"])
def test_a_layer_called_with_no_tensor(layer, wrong):
    if layer == "LayerNorm(4)" and isinstance(wrong, np.ndarray):
        pytest.skip("its array has the shape and dtype that are looked at first")
    for T in (torch, retrograd):
        with pytest.raises(TypeError, match=r"argument '\w+' \(position \d\) must be Tensor, not"):
            eval(f"nn.{layer}", {"nn": T.nn})(wrong)


@pytest.mark.parametrize("name", ["exp", "relu", "sum", "mean", "outer", "tril", "sigmoid", "argmax"])
def test_a_function_called_with_no_tensor(name):
    for T in (torch, retrograd):
        with pytest.raises(TypeError, match="must be Tensor, not NoneType"):
            getattr(T, name)(*[None] * (2 if name == "outer" else 1))
