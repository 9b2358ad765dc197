"""The leaf tree and the vector instructions under it. L leaves, D dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from hitloom.ops._keys import sort_keys
from hitloom.ops._leaf_tree import build_tree
from hitloom.ops._vector import LEAF, bits_of, float_of, lowest, meet, reach


@njit
def _run(points, leaf, query, row, bound, boxes, bounds):  # type: ignore[no-untyped-def]
    out = np.zeros(LEAF, np.float32)
    return meet(points, leaf, query, row, bound, out), out, reach(points, leaf, boxes, row, bounds)


@njit
def _bits(value):  # type: ignore[no-untyped-def]
    return bits_of(value), float_of(bits_of(value)), lowest(np.uint64(bits_of(value)))


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 8, 9, 11, 12, 13, 16, 20, 24, 33])
def test_vector_loops_equal_numpy(dim):
    random = np.random.default_rng(dim)
    points = random.normal(size=(3, dim, LEAF)).astype(np.float32)
    points[1, :, 50:] = np.nan  # padding
    query = random.normal(size=(4, dim)).astype(np.float32)
    corner = random.normal(size=(4, dim)).astype(np.float32)
    boxes = np.stack([corner, corner + random.random((4, dim), np.float32)], axis=1)
    for leaf in range(3):
        for row in range(4):
            square = ((points[leaf] - query[row][:, None]) ** 2).sum(0)
            low, high = boxes[row]
            gap = np.maximum(0, np.maximum(low[:, None] - points[leaf], points[leaf] - high[:, None]))
            bounds = np.full(LEAF, np.float32(np.nanmedian((gap**2).sum(0))))
            bounds[np.isnan(points[leaf, 0])] = -1  # how padding is kept from asking
            for bound in (np.float32(-1), np.float32(np.nanmedian(square)), np.float32(1e30)):
                found, out, asks = _run(points, leaf, query, row, bound, boxes, bounds)
                near = np.isclose(square, bound, rtol=1e-5)  # rounding may decide these either way
                bits = np.array([int(found) >> i & 1 for i in range(LEAF)], bool)
                assert (bits == (square <= bound))[~near].all()
                if found:
                    np.testing.assert_allclose(out[bits], square[bits], rtol=1e-5)
                to_box = (gap**2).sum(0)
                near = np.isclose(to_box, bounds, rtol=1e-5) & (to_box > 0)
                bits = np.array([int(asks) >> i & 1 for i in range(LEAF)], bool)
                assert (bits == (to_box <= bounds))[~near].all()


def test_bits():
    for value in (0.0, 1e-40, 1.5, 3e38):
        bits, back, _ = _bits(np.float32(value))
        assert bits == int(np.float32(value).view(np.int32))
        assert back == np.float32(value)
    assert (
        _bits(np.float32(1.5))[2]
        == (int(np.float32(1.5).view(np.int32)) & -int(np.float32(1.5).view(np.int32))).bit_length() - 1
    )


@pytest.mark.parametrize("kind", ["normal", "same", "grid", "sorted"])
def test_every_point_is_in_one_leaf_of_its_element_inside_the_box(kind):
    random = np.random.default_rng(0)
    x = random.normal(size=(5000, 3)).astype(np.float32)
    if kind == "same":
        x[:] = 1
    elif kind == "grid":
        x = np.round(x)
    elif kind == "sorted":
        x = np.sort(x, axis=0)
    rows = np.flatnonzero(random.random(5000) < 0.7)
    batch = random.integers(0, 5, 5000)
    batch[batch == 3] = 2  # an element without points
    tree = build_tree(x, rows, batch, 5)
    held = tree.ids[tree.ids >= 0]
    assert sorted(held.tolist()) == rows.tolist()
    assert tree.first[-1] == len(tree.filled)
    for leaf in range(len(tree.filled)):
        own = tree.ids[leaf, : tree.filled[leaf]]
        assert (batch[own] == tree.element[leaf]).all()
        assert (tree.ids[leaf, tree.filled[leaf] :] == -1).all()
        assert np.isnan(tree.soa[leaf, :, tree.filled[leaf] :]).all()
        assert tree.least[leaf] == own.min()
        np.testing.assert_array_equal(tree.soa[leaf, :, : tree.filled[leaf]], x[own].T)
        np.testing.assert_array_equal(tree.box[leaf], [x[own].min(0), x[own].max(0)])
        np.testing.assert_array_equal([tree.low[:, leaf], tree.high[:, leaf]], tree.box[leaf])
    full = sum(int(filled == LEAF) for filled in tree.filled)
    assert len(tree.filled) - full <= 5  # at most one leaf of each element is not full


def test_leaves_are_compact():
    x = np.random.default_rng(0).random((64 * 64, 2)).astype(np.float32)
    tree = build_tree(x, None, None, 1)
    sides = tree.box[:, 1] - tree.box[:, 0]
    assert sides.max() < 4 / 8  # a perfect square of 64 leaves would have sides of 1 / 8
    assert sides.mean() < 1.5 / 8


@pytest.mark.parametrize("num", [0, 1, 15, 17, 200, 3000])
@pytest.mark.parametrize("kind", ["uniform", "same", "skewed", "zero"])
def test_row_sort(num, kind):
    random = np.random.default_rng(num)
    square = random.random(num).astype(np.float32)
    if kind == "same":
        square[:] = 0.25
    elif kind == "skewed":
        square = square ** np.float32(40)
    elif kind == "zero":
        square[:] = 0
    keys = (square.view(np.int32).astype(np.int64) << 32) | random.permutation(num)
    keys = np.concatenate([[7], keys, [3]]).astype(np.int64)
    wanted = np.sort(keys[1:-1])
    sort_keys(keys, 1, num + 1, np.empty(2 * num + 2, np.int64), np.float32(0 if kind == "zero" else 1))
    np.testing.assert_array_equal(keys[1:-1], wanted)
    assert (keys[0], keys[-1]) == (7, 3)
