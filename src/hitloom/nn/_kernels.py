"""Compiled passes over the rows of a layer, float32 on the CPU: one read and one write where torch makes several.

Rows are independent; values that are not finite pass through as such. The sigmoid is exact to a few units in the
last place: 2^f on [-1/2, 1/2] by a polynomial of relative error 2e-9, the integer part of the exponent by bits.

R rows, C channels, P points of a chunk, k neighbours, w width of edges.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

_F = np.float32
_FLAGS = {"contract", "reassoc", "arcp", "nsz"}
_LOG2E = _F(1.4426950408889634)
_P0, _P1, _P2, _P3 = _F(1.0000000006), _F(6.9314720574e-01), _F(2.4022646891e-01), _F(5.5503287764e-02)
_P4, _P5, _P6 = _F(9.6184889587e-03), _F(1.3399931465e-03), _F(1.5345812152e-04)
_EPS = _F(1e-5)  # of layer normalisation, as in torch


@intrinsic
def _float_of_bits(context: Any, bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return numba.types.float32(numba.types.int32), generate


@njit(inline="always", fastmath=_FLAGS, error_model="numpy")
def _sigmoid(y):  # type: ignore[no-untyped-def]
    x = min(max(-y, _F(-87.0)), _F(87.0)) * _LOG2E
    whole = np.floor(x + _F(0.5))
    f = x - whole
    power = ((((((_P6 * f + _P5) * f + _P4) * f + _P3) * f + _P2) * f + _P1) * f) + _P0
    power *= _float_of_bits((np.int32(whole) + np.int32(127)) << np.int32(23))  # type: ignore[call-arg]
    return _F(1.0) / (_F(1.0) + power)


@njit(inline="always", fastmath=_FLAGS, error_model="numpy")
def _moments(row):  # type: ignore[no-untyped-def]
    """Mean of a row, and one over its standard deviation."""
    inverse = _F(1.0) / _F(row.shape[0])
    total = _F(0.0)
    for c in range(row.shape[0]):
        total += row[c]
    mean = total * inverse
    square = _F(0.0)
    for c in range(row.shape[0]):
        gap = row[c] - mean
        square += gap * gap
    return mean, _F(1.0) / np.sqrt(square * inverse + _EPS)


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def norm_silu(x, out):  # type: ignore[no-untyped-def]
    """SiLU of the layer-normalised rows of ``x`` (R, C) into ``out``, which may be ``x``."""
    for r in range(x.shape[0]):
        mean, scale = _moments(x[r])
        for c in range(x.shape[1]):
            y = (x[r, c] - mean) * scale
            out[r, c] = y * _sigmoid(y)


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def norm_silu_backward(x, grad, out):  # type: ignore[no-untyped-def]
    """Gradient of ``x`` (R, C) given that of the output, into ``out``, which may be ``grad``."""
    inverse = _F(1.0) / _F(x.shape[1])
    for r in range(x.shape[0]):
        mean, scale = _moments(x[r])
        total, along = _F(0.0), _F(0.0)
        for c in range(x.shape[1]):
            y = (x[r, c] - mean) * scale
            s = _sigmoid(y)
            g = grad[r, c] * s * (_F(1.0) + y * (_F(1.0) - s))
            out[r, c] = g
            total += g
            along += g * y
        total, along = total * inverse, along * inverse
        for c in range(x.shape[1]):
            y = (x[r, c] - mean) * scale
            out[r, c] = (out[r, c] - total - y * along) * scale


@njit(inline="always", fastmath=_FLAGS, error_model="numpy")
def _softmax(logit, mask, alpha):  # type: ignore[no-untyped-def]
    """Softmax among the slots of the mask, all 0 where there is none, into ``alpha`` (k,)."""
    top = _F(-np.inf)
    for j in range(mask.shape[0]):
        if mask[j] and logit[j] > top:
            top = logit[j]
    total = _F(0.0)
    for j in range(mask.shape[0]):
        alpha[j] = np.exp(logit[j] - top) if mask[j] else _F(0.0)
        total += alpha[j]
    if total != _F(0.0):
        for j in range(mask.shape[0]):
            alpha[j] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def gather_add(index, centre, out, source):  # type: ignore[no-untyped-def]
    """Rows of ``source`` (N, C) named by ``index`` (P, k), plus ``centre`` (P, C), into ``out`` (P, k, C)."""
    for p in range(index.shape[0]):
        for j in range(index.shape[1]):
            row = index[p, j]
            for c in range(centre.shape[1]):
                out[p, j, c] = source[row, c] + centre[p, c]


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def attend(raw, logits, mask, state, message, saturated):  # type: ignore[no-untyped-def]
    """SiLU of ``raw`` (P, k, w) into ``state``, and its sum weighted by the softmax of ``logits`` (P, k) (of their
    SiLU if ``saturated``) into ``message`` (P, w).
    """
    k, width = state.shape[1], state.shape[2]
    logit, alpha = np.empty(k, np.float32), np.empty(k, np.float32)
    for p in range(raw.shape[0]):
        for j in range(k):
            logit[j] = logits[p, j] * _sigmoid(logits[p, j]) if saturated else logits[p, j]
        _softmax(logit, mask[p], alpha)
        for c in range(width):
            message[p, c] = _F(0.0)
        for j in range(k):
            for c in range(width):
                value = raw[p, j, c] * _sigmoid(raw[p, j, c])
                state[p, j, c] = value
                message[p, c] += alpha[j] * value


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def attend_backward(raw, logits, mask, grad_state, grad_message, out, out_logits, saturated):  # type: ignore[no-untyped-def]
    """Gradients of ``raw`` (P, k, w) and ``logits`` (P, k), into ``out`` and ``out_logits``."""
    k, width = grad_state.shape[1], grad_state.shape[2]
    logit, alpha, share = np.empty(k, np.float32), np.empty(k, np.float32), np.empty(k, np.float32)
    for p in range(raw.shape[0]):
        for j in range(k):
            logit[j] = logits[p, j] * _sigmoid(logits[p, j]) if saturated else logits[p, j]
        _softmax(logit, mask[p], alpha)
        mean = _F(0.0)
        for j in range(k):
            total = _F(0.0)
            for c in range(width):
                value = raw[p, j, c]
                s = _sigmoid(value)
                gradient = grad_message[p, c]
                total += gradient * value * s
                out[p, j, c] = (grad_state[p, j, c] + alpha[j] * gradient) * s * (_F(1.0) + value * (_F(1.0) - s))
            share[j] = total
            mean += alpha[j] * total
        for j in range(k):
            gradient = alpha[j] * (share[j] - mean)
            if saturated:
                s = _sigmoid(logits[p, j])
                gradient *= s * (_F(1.0) + logits[p, j] * (_F(1.0) - s))
            out_logits[p, j] = gradient
