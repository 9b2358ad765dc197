"""The candidate graph against the tile rule evaluated pair by pair, in both endcaps and across phi = +-pi."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.trackster_graph import candidate_graph, roots
from hitloom.errors import DataError


def tile(abs_eta: float, phi: float) -> tuple[int, int]:
    """Return the tile of a place; bins of phi are not folded."""
    return (
        min(max(math.floor((abs_eta - 1.5) * (34 / (3.2 - 1.5))), 0), 33),
        math.floor((phi + math.pi) * (126 / (2 * math.pi))),
    )


def brute_force(eta, phi, z) -> set[tuple[int, int]]:
    """Evaluate the rule for every pair of tracksters."""
    edges = set()
    for i in range(len(z)):
        low, high = tile(abs(eta[i]) - 0.1, phi[i] - 0.1), tile(abs(eta[i]) + 0.1, phi[i] + 0.1)
        touched = {k % 126 for k in range(low[1], high[1] + 1)}
        for j in range(len(z)):
            if eta[i] * eta[j] <= 0 or abs(z[j]) <= abs(z[i]):
                continue
            place = tile(abs(eta[j]), phi[j])
            if low[0] <= place[0] <= high[0] and place[1] % 126 in touched:
                edges.add((i, j))
    return edges


def random_event(seed: int, number: int = 150):
    rng = np.random.default_rng(seed)
    eta = rng.uniform(1.45, 3.3, number) * rng.choice([-1, 1], number)
    phi = rng.uniform(-np.pi, np.pi, number)
    phi[: number // 3] = np.pi - rng.uniform(-0.15, 0.15, number // 3)  # beyond pi as well
    phi[:3] = [np.pi, -np.pi, np.nextafter(np.pi, 0)]
    eta[3:6] = [0.0, 1.5, -3.2]
    z = rng.choice(np.linspace(322, 513, 30), number) * np.sign(eta)  # many equal |z|
    return eta, phi, z


def as_set(edges) -> set[tuple[int, int]]:
    return set(map(tuple, edges.T.tolist()))


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_rule_pair_by_pair(seed):
    """Linking defect 5: both endcaps, phi = +-pi, the same bins for filling and searching."""
    eta, phi, z = random_event(seed)
    edges = candidate_graph(eta, phi, z)
    assert edges.dtype == np.int64
    assert as_set(edges) == brute_force(eta, phi, z)
    assert edges.shape[1] == len(as_set(edges)) > 50
    assert (eta[edges[0]] < 0).any()
    assert (eta[edges[0]] > 0).any()
    assert (np.abs(phi[edges[0]] - phi[edges[1]]) > 6).any()
    assert (np.diff(edges[0] * len(z) + edges[1]) > 0).all()


def test_mirrored_event_has_mirrored_edges():
    """Linking defect 5: no endcap is left without edges."""
    eta, phi, z = random_event(7)
    np.testing.assert_array_equal(candidate_graph(eta, phi, z), candidate_graph(-eta, phi, -z))


def test_every_pair_once_from_small_to_large_z_and_no_cycle():
    eta, phi, z = random_event(8)
    edges = candidate_graph(eta, phi, z)
    assert (np.abs(z[edges[0]]) < np.abs(z[edges[1]])).all()
    assert not as_set(edges) & {(j, i) for i, j in as_set(edges)}


def test_reach():
    """All within 0.1 in both are neighbours; none beyond 0.1 and a bin."""
    eta, phi, z = random_event(9, 300)
    inside = (np.abs(eta) > 1.6) & (np.abs(eta) < 3.1)
    eta, phi, z = eta[inside], phi[inside], z[inside]
    found = as_set(candidate_graph(eta, phi, z))
    for i in range(len(z)):
        for j in range(len(z)):
            if eta[i] * eta[j] <= 0 or abs(z[j]) <= abs(z[i]):
                continue
            d_eta, d_phi = abs(eta[i] - eta[j]), abs(math.remainder(phi[i] - phi[j], 2 * math.pi))
            if max(d_eta, d_phi) <= 0.1:
                assert (i, j) in found
            if max(d_eta, d_phi) >= 0.15:
                assert (i, j) not in found


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), turns=st.integers(-2, 2))
def test_order_of_tracksters_and_whole_turns_do_not_matter(seed, turns):
    eta, phi, z = random_event(seed, 40)
    phi = np.round(phi, 3)  # far from the borders of bins, where a turn rounds
    order = np.random.default_rng(seed).permutation(len(z))
    before = as_set(candidate_graph(eta, phi, z))
    after = as_set(candidate_graph(eta[order], phi[order] + 2 * np.pi * turns, z[order]))
    assert {(order[i], order[j]) for i, j in after} == before


def test_equal_z_gives_no_edge_and_eta_zero_belongs_to_no_endcap():
    assert candidate_graph([2.0, 2.0], [0.0, 0.0], [330.0, 330.0]).shape == (2, 0)
    assert candidate_graph([0.0, 1e-3], [0.0, 0.0], [330.0, 331.0]).shape == (2, 0)


@pytest.mark.parametrize("number", [0, 1])
def test_no_or_one_trackster(number):
    edges = candidate_graph(np.full(number, 2.0), np.zeros(number), np.full(number, 330.0))
    assert edges.shape == (2, 0)
    assert roots(edges, number).tolist() == [True] * number


def test_roots_have_no_inner_neighbour():
    eta, phi, z = random_event(10)
    edges = candidate_graph(eta, phi, z)
    wanted = [all(j != node for _, j in as_set(edges)) for node in range(len(z))]
    assert roots(edges, len(z)).tolist() == wanted


def test_bad_input_is_named():
    with pytest.raises(DataError, match="phi of trackster 1 is nan"):
        candidate_graph([2.0, 2.0], [0.0, np.nan], [330.0, 331.0])
    with pytest.raises(DataError, match="one length"):
        candidate_graph([2.0], [0.0, 0.1], [330.0, 331.0])
