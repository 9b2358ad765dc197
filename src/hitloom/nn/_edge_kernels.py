"""Compiled passes over rows of edges or nodes, float32 on the CPU; each works on the rows ``first`` to ``last``.

Those that add to rows named by an index work on channels ``low`` to ``high`` instead, so that threads never meet.

R rows of a chunk, N nodes, C channels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hitloom.nn._kernels import _F, _FLAGS, _moments, _sigmoid

SILU, RELU, TANH, IDENTITY, SIGMOID = 0, 1, 2, 3, 4


@njit(cache=True, nogil=True)
def sort_by_target(target, num_nodes):  # type: ignore[no-untyped-def]
    """Order (E,) that sorts ``target`` (E,), stable, and the place (E,) of each edge in it."""
    count = np.zeros(num_nodes + 1, np.int64)
    for e in range(target.shape[0]):
        count[target[e] + 1] += 1
    for n in range(num_nodes):
        count[n + 1] += count[n]
    order, place = np.empty(target.shape[0], np.int64), np.empty(target.shape[0], np.int64)
    for e in range(target.shape[0]):
        at = count[target[e]]
        count[target[e]] += 1
        order[at] = e
        place[e] = at
    return order, place


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def gather_two(first, last, source, target, at_source, at_target, out):  # type: ignore[no-untyped-def]
    """``at_source`` (N, C) of the source plus ``at_target`` (N, C) of the target into ``out`` (R, C)."""
    for r in range(first, last):
        s, t = source[r], target[r]
        for c in range(out.shape[1]):
            out[r, c] = at_source[s, c] + at_target[t, c]


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def norm_act(first, last, x, weight, bias, normalise, kind, out):  # type: ignore[no-untyped-def]
    """Activation of ``weight`` times the rows of ``x`` (R, C), layer-normalised if asked for, plus ``bias``.

    The result goes into ``out``.
    """
    for r in range(first, last):
        mean, scale = _F(0.0), _F(1.0)
        if normalise:
            mean, scale = _moments(x[r])
        if kind == SILU:
            for c in range(x.shape[1]):
                y = (x[r, c] - mean) * scale * weight[c] + bias[c]
                out[r, c] = y * _sigmoid(y)
        elif kind == RELU:
            for c in range(x.shape[1]):
                out[r, c] = max((x[r, c] - mean) * scale * weight[c] + bias[c], _F(0.0))
        elif kind == TANH:
            for c in range(x.shape[1]):
                y = (x[r, c] - mean) * scale * weight[c] + bias[c]
                out[r, c] = _F(2.0) * _sigmoid(_F(2.0) * y) - _F(1.0)
        elif kind == SIGMOID:
            for c in range(x.shape[1]):
                out[r, c] = _sigmoid((x[r, c] - mean) * scale * weight[c] + bias[c])
        else:
            for c in range(x.shape[1]):
                out[r, c] = (x[r, c] - mean) * scale * weight[c] + bias[c]


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def norm_act_backward(first, last, x, weight, bias, normalise, kind, grad, out, sums):  # type: ignore[no-untyped-def]
    """Output of :func:`norm_act` into ``out`` (R, C), its gradient ``grad`` (R, C) into that of ``x``.

    Gradients of weight and bias are added to ``sums`` (2, C).
    """
    inverse = _F(1.0) / _F(x.shape[1])
    for r in range(first, last):
        mean, scale = _F(0.0), _F(1.0)
        if normalise:
            mean, scale = _moments(x[r])
        if kind == SILU:
            for c in range(x.shape[1]):
                y = (x[r, c] - mean) * scale * weight[c] + bias[c]
                s = _sigmoid(y)
                out[r, c] = y * s
                grad[r, c] *= s * (_F(1.0) + y * (_F(1.0) - s))
        elif kind == RELU:
            for c in range(x.shape[1]):
                y = (x[r, c] - mean) * scale * weight[c] + bias[c]
                out[r, c] = max(y, _F(0.0))
                grad[r, c] = grad[r, c] if y > _F(0.0) else _F(0.0)
        elif kind == TANH:
            for c in range(x.shape[1]):
                y = (x[r, c] - mean) * scale * weight[c] + bias[c]
                y = _F(2.0) * _sigmoid(_F(2.0) * y) - _F(1.0)
                out[r, c] = y
                grad[r, c] *= _F(1.0) - y * y
        elif kind == SIGMOID:
            for c in range(x.shape[1]):
                y = _sigmoid((x[r, c] - mean) * scale * weight[c] + bias[c])
                out[r, c] = y
                grad[r, c] *= y * (_F(1.0) - y)
        else:
            for c in range(x.shape[1]):
                out[r, c] = (x[r, c] - mean) * scale * weight[c] + bias[c]
        if normalise:
            total, along = _F(0.0), _F(0.0)
            for c in range(x.shape[1]):
                unit, g = (x[r, c] - mean) * scale, grad[r, c]
                sums[0, c] += g * unit
                sums[1, c] += g
                g *= weight[c]
                total += g
                along += g * unit
            total, along = total * inverse, along * inverse
            for c in range(x.shape[1]):
                grad[r, c] = (grad[r, c] * weight[c] - total - (x[r, c] - mean) * scale * along) * scale


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def add_at(low, high, index, rows, out):  # type: ignore[no-untyped-def]
    """Add ``rows`` (R, C) to the rows of ``out`` (N, C) named by ``index`` (R,)."""
    for r in range(rows.shape[0]):
        n = index[r]
        for c in range(np.uint64(low), np.uint64(high)):
            out[n, c] += rows[r, c]


@njit(cache=True, nogil=True, error_model="numpy")
def best_at(low, high, index, rows, sign, out):  # type: ignore[no-untyped-def]
    """Maximum of ``sign`` times ``rows`` (R, C) into ``out`` (N, C) by ``index`` (R,)."""
    for r in range(rows.shape[0]):
        n = index[r]
        for c in range(np.uint64(low), np.uint64(high)):
            value, best = sign * rows[r, c], out[n, c]
            out[n, c] = value if value > best else best


@njit(cache=True, nogil=True, error_model="numpy")
def best_and_ties_at(low, high, index, rows, sign, out, ties):  # type: ignore[no-untyped-def]
    """:func:`best_at`, and into ``ties`` (N, C) how many rows share the maximum."""
    for r in range(rows.shape[0]):
        n = index[r]
        for c in range(np.uint64(low), np.uint64(high)):
            value, best = sign * rows[r, c], out[n, c]
            count = ties[n, c]
            ties[n, c] = _F(1.0) if value > best else count + _F(1.0) if value == best else count
            out[n, c] = value if value > best else best


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def add_from(first, last, index, source, out):  # type: ignore[no-untyped-def]
    """Add the rows of ``source`` (N, C) named by ``index`` (R,) to ``out`` (R, C)."""
    for r in range(first, last):
        n = index[r]
        for c in range(out.shape[1]):
            out[r, c] += source[n, c]


@njit(cache=True, nogil=True, error_model="numpy")
def add_where_best(first, last, index, rows, sign, best, share, out):  # type: ignore[no-untyped-def]
    """Add ``share`` (N, C) of a row's node to ``out`` (R, C) where ``sign`` times ``rows`` (R, C) is its ``best``."""
    for r in range(first, last):
        n = index[r]
        for c in range(out.shape[1]):
            out[r, c] += share[n, c] if sign * rows[r, c] == best[n, c] else _F(0.0)
