"""Thin 2D clusters against a plain statement of their rules, hit by hit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.config import build
from hitloom.errors import ConfigError
from hitloom.grouping.chain_clusters import ChainConfig, chain_clusters, first_seen

PITCH = 0.5
PLAIN = ChainConfig(associate=False)


def clusters(hits: list[tuple[float, int, float]], config: ChainConfig = PLAIN, scale: float = 1.0) -> list[int]:
    """Clusters of hits (x, layer, energy)."""
    x, layer, energy = (np.array([hit[column] for hit in hits], dtype=np.float64) for column in range(3))
    found = chain_clusters(x, layer * PITCH, layer.astype(np.int64), energy, config=config, scale=scale)
    return found.tolist()


def random_hits(seed: int, num: int) -> list[tuple[float, int, float]]:
    rng = np.random.default_rng(seed)
    span = math.sqrt(num) * 0.6
    return [
        (float(x), int(layer), float(energy))
        for x, layer, energy in zip(
            rng.uniform(0, span, num), rng.integers(0, int(span / PITCH) + 1, num), rng.exponential(1, num), strict=True
        )
    ]


def brute_force(hits: list[tuple[float, int, float]], config: ChainConfig, scale: float) -> list[int]:
    """The rules as they are written down, each over all pairs of hits."""
    num = len(hits)
    reach, near, close = (
        scale * length for length in (config.max_separation, config.min_separation, config.close_separation)
    )

    def away(a: int, b: int) -> float:
        return math.hypot(hits[a][0] - hits[b][0], (hits[a][1] - hits[b][1]) * PITCH)

    def layer(a: int) -> int:
        return hits[a][1]

    used = [a for a in range(num) if hits[a][2] >= config.min_energy]
    aside = {
        a for a in used for b in used
        if b != a and layer(a) == layer(b) and hits[b][2] > hits[a][2] and away(a, b) < near
    }  # fmt: skip
    kept = [a for a in used if a not in aside]
    links = [
        (a, b) for a in kept for b in kept
        if 1 <= layer(b) - layer(a) <= config.max_gap_layers + 1 and away(a, b) <= reach
    ]  # fmt: skip
    forward = {a: min((b for c, b in links if c == a), key=lambda b: away(a, b)) for a in {a for a, _ in links}}
    backward = {b: min((a for a, c in links if c == b), key=lambda a: away(a, b)) for b in {b for _, b in links}}

    def secondary(out: dict[int, int], back: dict[int, int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for a, target in out.items():
            if back[target] != a and away(a, target) < min(
                close, away(found[target], target) if target in found else 9
            ):
                found[target] = a
        return found

    def trace(a: int, out: dict[int, int], back: dict[int, int]) -> tuple[int, int]:
        steps = 1
        while a in out and back[out[a]] == a:
            a, steps = out[a], steps + 1
        return a, steps

    def choice(a: int, out: dict[int, int], back: dict[int, int], second: dict[int, int]) -> int | None:
        if a not in out or a not in second:
            return out.get(a)
        end, _ = trace(out[a], out, back)
        other, steps = trace(second[a], out, back)
        return out[a] if end == other or steps < config.min_secondary_steps else None

    ahead = {a: choice(a, forward, backward, secondary(backward, forward)) for a in kept}
    behind = {a: choice(a, backward, forward, secondary(forward, backward)) for a in kept}
    group = {a: a for a in kept}
    for a in sorted(kept, key=layer):
        b = behind[a]
        if b is not None and ahead[b] == a:
            group[a] = group[b]
    fresh = True
    while config.merge_back and fresh:
        fresh = {}
        for a in aside - group.keys():
            hosts = [
                b for b in group if layer(a) == layer(b) and hits[b][2] >= hits[a][2] and away(a, b) < near
            ]  # fmt: skip
            if hosts:
                fresh[a] = group[min(hosts, key=lambda b: away(a, b))]
        group |= fresh
    return first_seen(np.array([group.get(a, -1) for a in range(num)])).tolist()


@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_those_of_the_rules(seed: int, scale: float):
    hits = random_hits(seed, 150)
    expected = brute_force(hits, PLAIN, scale)
    assert clusters(hits, scale=scale) == expected
    assert max(expected) > 10


@pytest.mark.parametrize(
    "change",
    [
        {"max_gap_layers": 0}, {"max_separation": 2.5}, {"min_separation": 0.8}, {"close_separation": 2.0},
        {"min_energy": 0.5}, {"min_secondary_steps": 2}, {"merge_back": False},
    ],
)  # fmt: skip
def test_every_parameter_acts_as_the_rules_say(change):
    config = PLAIN.model_copy(update=change)
    found = [clusters(random_hits(seed, 150), config) for seed in range(6)]
    assert found == [brute_force(random_hits(seed, 150), config, 1.0) for seed in range(6)]
    assert found != [clusters(random_hits(seed, 150)) for seed in range(6)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), num=st.integers(0, 80), order=st.randoms(use_true_random=False))
def test_order_of_hits_does_not_matter(seed: int, num: int, order):
    hits = random_hits(seed, num)
    rows = list(range(num))
    order.shuffle(rows)
    before = clusters(hits, ChainConfig())
    after = clusters([hits[row] for row in rows], ChainConfig())
    assert first_seen(np.array([before[row] for row in rows], dtype=np.int64)).tolist() == after


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_hit_has_one_cluster_unless_asked_otherwise(seed: int):
    assert min(clusters(random_hits(seed, 60), ChainConfig())) == 0


def line(slope: float, layers: range, x: float = 0.0) -> list[tuple[float, int, float]]:
    return [(x + slope * layer * PITCH, layer, 1.0) for layer in layers]


def test_a_straight_track_is_one_cluster():
    assert clusters(line(0.5, range(20))) == [0] * 20


def test_links_skip_at_most_two_wires():
    track = line(0.0, range(4)) + line(0.0, range(6, 9))
    wide = PLAIN.model_copy(update={"max_separation": 3.0})
    assert clusters(track, wide) == [0] * 7
    assert clusters(line(0.0, range(4)) + line(0.0, range(7, 9)), wide) == [0] * 4 + [1] * 2


def test_the_weaker_of_two_near_hits_joins_the_cluster_beside_it():
    track = [*line(0.0, range(6)), (0.3, 2, 0.5), (0.65, 2, 0.4), (1.2, 2, 0.9)]
    assert clusters(track) == [0] * 8 + [1]  # the second one by way of the first


def test_equal_hits_are_not_set_aside():
    assert clusters([(0.0, 0, 1.0), (0.2, 0, 1.0)]) == [0, 1]


def test_a_long_branch_breaks_the_chain_and_a_short_one_does_not():
    stem = line(0.0, range(6))
    first = [(0.1 + 0.1 * step, 6 + step, 1.0) for step in range(6)]

    def second(num: int) -> list[tuple[float, int, float]]:
        return [(-0.3 - 0.1 * step, 6 + step, 1.0) for step in range(num)]

    def parted(num: int) -> bool:
        found = clusters(stem + first + second(num))
        return found[5] != found[6]

    assert not parted(4)
    assert parted(5)


COLLINEAR = line(0.5, range(8)) + line(0.5, range(12, 20))


def test_collinear_chains_are_joined_end_to_end():
    assert clusters(COLLINEAR) == [0] * 8 + [1] * 8
    assert clusters(COLLINEAR, ChainConfig()) == [0] * 16


@pytest.mark.parametrize(
    "second",
    [
        line(0.5, range(15, 23)),  # too far
        line(1.0, range(12, 20), x=-2.7),  # another direction
        line(0.5, range(12, 20), x=0.8),  # beside
    ],
)
def test_chains_that_are_not_collinear_stay_apart(second):
    assert clusters(line(0.5, range(8)) + second, ChainConfig()) == [0] * 8 + [1] * 8


def test_of_several_continuations_the_nearest_is_joined():
    near, far = line(0.0, range(11, 15)), line(0.0, range(11, 15), x=0.45)
    assert clusters(line(0.0, range(8)) + near + far, ChainConfig()) == [0] * 12 + [1] * 4


def test_a_short_piece_continues_a_chain_only_where_no_long_one_does():
    short = [(0.4, 12, 1.0)]
    alone = ChainConfig(associate_short=False)
    assert clusters(line(0.0, range(8)) + short, alone) == [0] * 8 + [1]
    assert clusters(line(0.0, range(8)) + short, ChainConfig()) == [0] * 9
    both = line(0.0, range(8)) + line(0.0, range(14, 18)) + [(0.4, 10, 1.0)]
    assert clusters(both, ChainConfig(max_association_gap=4.0)) == [0] * 12 + [1]


def test_no_hits_and_one_hit():
    assert clusters([], ChainConfig()) == []
    assert clusters([(0.0, 3, 1.0)], ChainConfig()) == [0]


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="num_direction_hits"):
        build(ChainConfig, {"num_direction_hits": 2})
