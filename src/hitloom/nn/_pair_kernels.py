"""Compiled passes over all pairs of rows, float32 on the CPU: w . relu(a_i + b_j), and its gradient.

Nothing of the size of pairs times channels is stored. Threads share out rows, so that they never meet.

N rows, H channels.
"""

from __future__ import annotations

from numba import njit

from hitloom.nn._kernels import _F, _FLAGS

BLOCK = 4  # rows that stay in the first cache while all others pass


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def _one(a, b, weight):  # type: ignore[no-untyped-def]
    total = _F(0.0)
    for c in range(weight.shape[0]):
        total += weight[c] * max(a[c] + b[c], _F(0.0))
    return total


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def _two(a, b, other_a, other_b, weight):  # type: ignore[no-untyped-def]
    total = _F(0.0)
    for c in range(weight.shape[0]):
        total += weight[c] * (max(a[c] + b[c], _F(0.0)) + max(other_a[c] + other_b[c], _F(0.0)))
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def pair_logits(first, last, left, right, weight, bias, symmetric, out):  # type: ignore[no-untyped-def]
    """Write the logits of pairs i < j into both triangles of ``out`` (N, N).

    ``symmetric``: mean of both orders of a pair. Spans are pairs of blocks of rows, one from either end, so that all
    take the same time.
    """
    num = left.shape[0]
    num_blocks = (num + BLOCK - 1) // BLOCK
    for turn in range(2 * first, 2 * last):
        block = turn // 2 if turn % 2 == 0 else num_blocks - 1 - turn // 2
        if turn % 2 == 1 and block <= turn // 2:
            continue
        low, high = block * BLOCK, min(num, (block + 1) * BLOCK)
        for j in range(low + 1, num):
            for i in range(low, min(high, j)):
                if symmetric:
                    value = _F(0.5) * _two(left[i], right[j], left[j], right[i], weight) + bias
                else:
                    value = _one(left[i], right[j], weight) + bias
                out[i, j] = value
                out[j, i] = value


@njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def active_sums(first, last, a, b, grad, out):  # type: ignore[no-untyped-def]
    """Write sum over j of ``grad[i, j]`` where a_i + b_j > 0 into ``out`` (N, H)."""
    for i in range(first, last):
        for c in range(a.shape[1]):
            out[i, c] = _F(0.0)
        for j in range(b.shape[0]):
            g = grad[i, j]
            if g != _F(0.0):
                for c in range(a.shape[1]):
                    out[i, c] += g if a[i, c] + b[j, c] > _F(0.0) else _F(0.0)


def num_spans(num: int) -> int:
    """Return the number of pairs of blocks that :func:`pair_logits` runs over for ``num`` rows."""
    return (-(-num // BLOCK) + 1) // 2
