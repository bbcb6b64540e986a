"""Near-minimax rational approximation in 50 digits.

Iterated linear least squares (Sanathanan and Koerner 1963) on a Chebyshev-spaced grid, which comes within a small factor of the
minimax error and has no trouble with spurious poles; then Remez's exchange levels the error.
"""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 50


def cheb_grid(a, b, count):
    """Points of [a, b], dense at its ends."""
    a, b = mp.mpf(a), mp.mpf(b)
    return [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * k / (count - 1)) for k in range(count)]


def horner(c, x):
    """Value of a polynomial, lowest power first."""
    r = mp.mpf(0)
    for k in reversed(c):
        r = r * x + k
    return r


def powers(x, n):
    """1, x, ..., x^n."""
    out = [mp.mpf(1)]
    for _ in range(n):
        out.append(out[-1] * x)
    return out


def least_squares(xs, fs, ws, n, m, rounds):
    """Rows w/q_prev * (P - f (Q - 1)) = w/q_prev * f, solved by normal equations at twice the digits."""
    q = [mp.mpf(1)] + [mp.mpf(0)] * m
    c, h = (xs[0] + xs[-1]) / 2, (xs[-1] - xs[0]) / 2
    ys = [(x - c) / h for x in xs]
    pw = [powers(y, max(n, m)) for y in ys]
    with mp.workdps(2 * mp.mp.dps):
        for _ in range(rounds if m else 1):
            N = n + m + 1
            A = mp.matrix(N, N)
            B = mp.matrix(N, 1)
            for y, f, w, pp in zip(ys, fs, ws, pw):
                s = w / horner(q, y)
                row = [s * v for v in pp[: n + 1]] + [-s * f * v for v in pp[1 : m + 1]]
                r = s * f
                for i in range(N):
                    B[i] += row[i] * r
                    for j in range(i, N):
                        A[i, j] += row[i] * row[j]
            for i in range(N):
                for j in range(i):
                    A[i, j] = A[j, i]
            sol = mp.lu_solve(A, B)
            p = [sol[j] for j in range(n + 1)]
            q = [mp.mpf(1)] + [sol[n + j] for j in range(1, m + 1)]
    return shift(p, c, h), shift(q, c, h)


def shift(p, c, h):
    """Coefficients in x of p((x - c) / h)."""
    out = [mp.mpf(0)]
    for k in reversed(p):
        new = [mp.mpf(0)] * (len(out) + 1)
        for i, v in enumerate(out):
            new[i] += -c / h * v
            new[i + 1] += v / h
        new[0] += k
        out = new
    return out[: len(p)]


def errors(p, q, xs, fs, ws):
    """Weighted errors on the grid."""
    return [(horner(p, x) / horner(q, x) - f) * w for x, f, w in zip(xs, fs, ws)]


def extrema(err):
    """Index of the largest error in each run of one sign."""
    ext = []
    for i in range(len(err)):
        if ext and (err[i] > 0) == (err[ext[-1]] > 0):
            if abs(err[i]) > abs(err[ext[-1]]):
                ext[-1] = i
        else:
            ext.append(i)
    return ext


def trim(ext, err, N):
    """N of the extrema, alternating, the smallest dropped first."""
    while len(ext) > N:
        if len(ext) == N + 1:
            ext.pop(0 if abs(err[ext[0]]) < abs(err[ext[-1]]) else -1)
        else:
            k = min(range(len(ext) - 1), key=lambda k: max(abs(err[ext[k]]), abs(err[ext[k + 1]])))
            if k == 0 and abs(err[ext[0]]) <= abs(err[ext[1]]):
                ext.pop(0)
            elif k == len(ext) - 2 and abs(err[ext[-1]]) <= abs(err[ext[-2]]):
                ext.pop(-1)
            else:
                del ext[k : k + 2]
    return ext


def solve(xs, fs, ws, n, m, E, q):
    """Levelled error on the reference by Newton-like iteration from (E, q)."""
    N = n + m + 2
    for _ in range(20):
        A = mp.matrix(N, N)
        B = mp.matrix(N, 1)
        for i in range(N):
            s = (-1) ** i / ws[i]
            pp = powers(xs[i], max(n, m))
            for j in range(n + 1):
                A[i, j] = pp[j]
            for j in range(1, m + 1):
                A[i, n + j] = -(fs[i] + s * E) * pp[j]
            Q = horner(q, xs[i])
            A[i, N - 1] = -s * Q
            B[i] = fs[i] + s * E * (1 - Q)
        sol = mp.lu_solve(A, B)
        p = [sol[j] for j in range(n + 1)]
        q = [mp.mpf(1)] + [sol[n + j] for j in range(1, m + 1)]
        done = abs(sol[N - 1] - E) <= abs(E) * mp.mpf(10) ** -8
        E = sol[N - 1]
        if done or m == 0:
            break
    return p, q, E


def remez(f, a, b, n, m, weight=None, density=12, rounds=12, iters=25):
    """The coefficients of the best P/Q of degrees n and m found, its largest weighted error, and how level it is."""
    N = n + m + 2
    xs = cheb_grid(a, b, density * N)
    fs = [mp.mpf(f(x)) for x in xs]
    ws = [mp.mpf(weight(x)) if weight else 1 / abs(v) for x, v in zip(xs, fs)]
    p, q = least_squares(xs, fs, ws, n, m, rounds)
    p, q = [v / q[0] for v in p], [v / q[0] for v in q]
    best = None
    for _ in range(iters):
        err = errors(p, q, xs, fs, ws)
        top = max(abs(e) for e in err)
        ok = len({mp.sign(horner(q, x)) for x in xs}) == 1
        if ok and (best is None or top < best[2]):
            best = (p, q, top)
        ext = extrema(err)
        if not ok or len(ext) < N:
            break
        ext = trim(ext, err, N)
        low = min(abs(err[i]) for i in ext)
        if low > mp.mpf("0.97") * top:
            break
        E = sum((-1) ** k * err[i] for k, i in enumerate(ext)) / N
        try:
            p, q, E = solve([xs[i] for i in ext], [fs[i] for i in ext], [ws[i] for i in ext], n, m, E, q)
        except ZeroDivisionError:
            break
    err = errors(best[0], best[1], xs, fs, ws)
    level = min(abs(err[i]) for i in trim(extrema(err), err, N)) / best[2]
    return best[0], best[1], best[2], level, True
