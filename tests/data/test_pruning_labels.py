"""Labels of pruning: the majority rule against a plain count, ties, noise, energies."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.pruning_labels import largest_shares, majority_labels, majority_object
from hitloom.errors import DataError

lists_of_points = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(st.integers(-1, 4), min_size=width, max_size=width), min_size=1, max_size=12)
)
energies = st.lists(st.integers(0, 40), min_size=12, max_size=12)


def plain_rule(lists, energy=None, shares=None):
    """Return the winner and labels by the rule, in plain words and exact numbers."""
    votes = Counter() if energy is None else defaultdict(Fraction)
    for row, names in enumerate(lists):
        for place, name in enumerate(names):
            if name != -1:
                weight = 1 if energy is None else Fraction(energy[row])
                votes[name] += weight * (1 if shares is None else Fraction(shares[row][place]))
    if not votes:
        return -1, [0] * len(lists)
    most = max(votes.values())
    winner = min(name for name, number in votes.items() if number == most)
    return winner, [int(winner not in names) for names in lists]


@settings(max_examples=200, deadline=None)
@given(lists=lists_of_points, energy=energies, data=st.data())
def test_the_rule_is_the_plain_count(lists, energy, data):
    energy = [value / 8 for value in energy[: len(lists)]]
    shares = [[data.draw(st.integers(0, 8)) / 8 for _ in names] for names in lists]
    assert majority_labels(lists).tolist() == plain_rule(lists)[1]
    assert majority_object(lists) == plain_rule(lists)[0]
    for given_shares in (None, shares):
        found = majority_labels(lists, energy=energy, shares=given_shares, majority="energy")
        assert found.tolist() == plain_rule(lists, energy, given_shares)[1]


@settings(max_examples=60, deadline=None)
@given(lists=lists_of_points, random=st.randoms())
def test_labels_follow_their_layer_clusters_in_any_order(lists, random):
    order = random.sample(range(len(lists)), len(lists))
    assert majority_labels([lists[row] for row in order]).tolist() == majority_labels(lists)[order].tolist()


def test_count_and_energy_can_disagree():
    lists = [[0], [0], [1], [-1]]
    assert majority_labels(lists).tolist() == [0, 0, 1, 1]
    assert majority_labels(lists, energy=[1, 1, 5, 20], majority="energy").tolist() == [1, 1, 0, 1]
    shares = [[1.0], [1.0], [0.1], [0.0]]
    assert majority_labels(lists, energy=[1, 1, 5, 20], shares=shares, majority="energy").tolist() == [0, 0, 1, 1]


def test_of_equals_the_smallest_index_wins():
    assert majority_labels([[9], [3]]).tolist() == [1, 0]
    assert majority_labels([[9], [3]], energy=[2, 2], majority="energy").tolist() == [1, 0]


def test_pruning_defect_21_a_trackster_without_any_truth_is_kept_whole_or_left_out():
    for lists in ([[-1, -1], [-1, -1]], [[], []], [-1, -1]):
        for options in ({}, {"majority": "energy", "energy": [1.0, 2.0]}):
            assert majority_labels(lists, **options).tolist() == [0, 0]
            assert majority_labels(lists, all_noise="drop", **options) is None
            assert majority_object(lists, **options) == -1
    assert majority_labels(np.zeros((0, 3), np.int64)).tolist() == []


@pytest.mark.parametrize(
    ("lists", "options", "message"),
    [
        ([[1]], {"majority": "enrgy"}, "Did you mean 'energy'"),
        ([[1]], {"all_noise": "keap"}, "Did you mean 'keep'"),
        ([[1]], {"majority": "energy"}, "energies of the layer clusters are needed"),
        ([[1]], {"majority": "energy", "energy": [1, 2]}, "energy: one number"),
        ([[1]], {"majority": "energy", "energy": [float("nan")]}, "energy: finite"),
        ([[1]], {"majority": "energy", "energy": [1], "shares": [[-0.5]]}, "shares: finite"),
        ([[1, 2]], {"majority": "energy", "energy": [1], "shares": [[0.5]]}, "shares: one number"),
        ([[-2]], {}, "holds -2"),
        ([[0.5]], {}, "integers"),
        ([[[0]]], {}, "shape"),
    ],
)
def test_what_cannot_be_labelled_is_refused(lists, options, message):
    with pytest.raises(DataError, match=message):
        majority_labels(lists, **options)


@settings(max_examples=100, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), unique=True, max_size=15),
    width=st.integers(1, 4),
    data=st.data(),
)
def test_lists_hold_the_largest_shares(pairs, width, data):
    fraction = [data.draw(st.integers(0, 8)) / 8 for _ in pairs]
    lists, shares = largest_shares(
        np.array(pairs).reshape(-1, 2).T, fraction, num_points=5, num_listed=width, min_share=0.25
    )
    for row in range(5):
        own = sorted(
            (-part, name) for (point, name), part in zip(pairs, fraction, strict=True) if point == row and part >= 0.25
        )
        own = own[:width]
        assert lists[row].tolist() == [name for _, name in own] + [-1] * (width - len(own))
        assert shares[row].tolist() == [-part for part, _ in own] + [0] * (width - len(own))
