"""Compiled passes of recurrent cells and heads over rows, float32 on the CPU: one read and one write each.

tanh(x) = 2 sigmoid(2x) - 1. R rows, C channels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hitloom.nn._kernels import _FLAGS, _sigmoid

_F, _I = np.float32, np.uint32
_ONE, _TWO = _F(1.0), _F(2.0)


@njit(inline="always", fastmath=_FLAGS, error_model="numpy")
def _tanh(x):  # type: ignore[no-untyped-def]
    return _TWO * _sigmoid(_TWO * x) - _ONE


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def lstm(gates, cell, has_cell, h, new):  # type: ignore[no-untyped-def]
    """LSTM update from the sums of the gates (R, 4C), which become their values; without ``cell`` it is 0."""
    width = h.shape[1]
    for r in range(h.shape[0]):
        first, middle, last = gates[r, : 2 * width], gates[r, 2 * width : 3 * width], gates[r, 3 * width :]
        for c in range(first.shape[0]):
            first[c] = _sigmoid(first[c])
        for c in range(middle.shape[0]):
            middle[c] = _tanh(middle[c])
        for c in range(last.shape[0]):
            last[c] = _sigmoid(last[c])
        forget, state, out = gates[r, width : 2 * width], new[r], h[r]
        for c in range(state.shape[0]):
            state[c] = first[c] * middle[c]
        if has_cell:
            before = cell[r]
            for c in range(state.shape[0]):
                state[c] += forget[c] * before[c]
        for c in range(state.shape[0]):
            out[c] = last[c] * _tanh(state[c])


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def lstm_backward(gates, cell, has_cell, new, grad_h, grad_new, grad_gates, grad_cell):  # type: ignore[no-untyped-def]
    """Gradients of the sums of the gates and of the cell from those of both outputs."""
    width = new.shape[1]
    along = np.empty(width, np.float32)
    for r in range(new.shape[0]):
        i, f, g = gates[r, :width], gates[r, width : 2 * width], gates[r, 2 * width : 3 * width]
        o, state, to_h, to_new = gates[r, 3 * width :], new[r], grad_h[r], grad_new[r]
        d_i, d_f = grad_gates[r, :width], grad_gates[r, width : 2 * width]
        d_g, d_o = grad_gates[r, 2 * width : 3 * width], grad_gates[r, 3 * width :]
        for c in range(width):
            t = _tanh(state[c])
            along[c] = to_new[c] + to_h[c] * o[c] * (_ONE - t * t)
            d_o[c] = to_h[c] * t * o[c] * (_ONE - o[c])
        for c in range(width):
            d_i[c] = along[c] * g[c] * i[c] * (_ONE - i[c])
        for c in range(width):
            d_g[c] = along[c] * i[c] * (_ONE - g[c] * g[c])
        if has_cell:
            before, d_cell = cell[r], grad_cell[r]
            for c in range(width):
                d_f[c] = along[c] * before[c] * f[c] * (_ONE - f[c])
            for c in range(width):
                d_cell[c] = along[c] * f[c]
        else:
            for c in range(width):
                d_f[c] = _F(0.0)


@njit(inline="always", error_model="numpy")
def _mixed(number):  # type: ignore[no-untyped-def]
    """A hash of 32 bits (lowbias32), one of those that processors do eight at a time."""
    number = _I((number ^ (number >> _I(16))) * _I(0x7FEB352D))  # numba widens what is not told otherwise
    number = _I((number ^ (number >> _I(15))) * _I(0x846CA68B))
    return _I(number ^ (number >> _I(16)))


@njit(cache=True, nogil=True, error_model="numpy")
def drop_relu(x, seed, limit, scale):  # type: ignore[no-untyped-def]
    """ReLU of ``x`` (R, C) after dropout, in place: what is hashed below ``limit`` is 0, the rest times ``scale``."""
    zero = _F(0.0)
    for r in range(x.shape[0]):
        row, start = x[r], _mixed(_I(seed + _I(r)))
        for c in range(row.shape[0]):
            value = row[c] * scale
            kept = value if _mixed(_I(start + _I(c))) >= limit else zero
            row[c] = zero if kept < zero else kept


@njit(cache=True, nogil=True, error_model="numpy")
def drop_relu_backward(out, grad, scale, result):  # type: ignore[no-untyped-def]
    """Gradient of the rows before: ``grad`` times ``scale`` where ``out`` (R, C) is above 0."""
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            result[r, c] = grad[r, c] * scale if out[r, c] > _F(0.0) else _F(0.0)
