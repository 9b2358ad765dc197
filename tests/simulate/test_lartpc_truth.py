"""Which particle a hit belongs to: one small family of particles for each rule."""

from __future__ import annotations

import numpy as np
import pytest

from hitloom.simulate.lartpc_deposits import ArgonParticles
from hitloom.simulate.lartpc_hits import WireHits
from hitloom.simulate.lartpc_truth import causes_shower, hit_owners, is_charged, particle_owners

E, POSITRON, GAMMA, MU, PI, PI0, P, NEUTRON = 11, -11, 22, 13, 211, 111, 2212, 2112
PITCH = 0.5


def family(
    *rows: tuple[int, int], lengths: dict[int, float] | None = None, momenta: dict[int, float] | None = None
) -> ArgonParticles:
    """Particles (pdg, parent), 10 cm long with momentum 1 unless said otherwise."""
    num = len(rows)
    end, momentum = np.zeros((num, 3)), np.zeros((num, 3))
    end[:, 2], momentum[:, 0] = 10.0, 1.0
    for row, length in (lengths or {}).items():
        end[row, 2] = length
    for row, size in (momenta or {}).items():
        momentum[row, 0] = size
    return ArgonParticles(
        pdg=np.array([pdg for pdg, _ in rows]),
        parent=np.array([parent for _, parent in rows]),
        start=np.zeros((num, 3)),
        end=end,
        momentum=momentum,
        energy=np.ones(num),
        from_beam=np.ones(num, dtype=bool),
    )


def owners(particles: ArgonParticles, *hits: dict[int, float], keep_compton: bool = False) -> list[int]:
    """Owner of each hit {particle: weight}."""
    weights = [(hit, particle, weight) for hit, of in enumerate(hits) for particle, weight in of.items()]
    table = np.array(weights, dtype=np.float64).reshape(-1, 3)
    blank = np.zeros(len(hits))
    wire = WireHits(
        wire=blank.astype(np.int64), x=blank, w=blank, x_width=blank, energy=blank,
        weight_hit=table[:, 0].astype(np.int64), weight_particle=table[:, 1].astype(np.int64),
        weight_energy=table[:, 2],
    )  # fmt: skip
    return hit_owners(wire, particles, pitch=PITCH, keep_compton=keep_compton).tolist()


def test_a_shower_belongs_to_the_top_of_its_chain():
    shower = family((E, -1), (GAMMA, 0), (E, 1), (POSITRON, 1), (GAMMA, 3))
    assert particle_owners(shower).tolist() == [0] * 5


def test_each_photon_of_a_neutral_pion_is_its_own_shower():
    pion = family((PI0, -1), (GAMMA, 0), (GAMMA, 0), (E, 1), (POSITRON, 2))
    assert particle_owners(pion).tolist() == [0, 1, 2, 1, 2]


def test_tracks_and_their_daughters_stay_themselves():
    track = family((PI, -1), (P, 0), (MU, 0), (E, 2))
    assert particle_owners(track).tolist() == [0, 1, 2, 3]


def test_a_chain_is_broken_by_what_is_not_em():
    assert particle_owners(family((GAMMA, -1), (P, 0), (E, 1), (GAMMA, 2))).tolist() == [0, 1, 2, 2]


def test_weights_are_summed_after_the_roll_up():
    parts = family((E, -1), (GAMMA, 0), (E, 1), (P, -1))
    assert owners(parts, {0: 0.3, 2: 0.3, 3: 0.5}) == [0]


def test_of_equal_weights_the_higher_momentum_wins():
    pair = family((P, -1), (PI, -1), momenta={0: 2.0, 1: 3.0})
    assert owners(pair, {0: 0.5, 1: 0.5}, {0: 0.6, 1: 0.5}) == [1, 0]


def test_a_hit_without_weight_belongs_to_nobody():
    assert owners(family((P, -1)), {}, {0: 0.0}, {0: 1.0}) == [-1, -1, 0]
    assert owners(family((P, -1)), {}) == [-1]


DELTA = ((MU, -1), (E, 0))


def test_a_short_delta_ray_is_part_of_its_track():
    assert owners(family(*DELTA, lengths={1: 0.4}), {1: 1.0}) == [0]
    assert owners(family(*DELTA, lengths={1: 0.5}), {1: 1.0}) == [1]  # as long as the pitch: its own


def test_a_hit_with_some_of_the_track_is_the_tracks():
    delta = family(*DELTA)
    assert owners(delta, {1: 1.0, 0: 0.01}, {1: 1.0}) == [0, 1]


def test_a_weight_of_nothing_does_not_make_the_hit_the_tracks():
    assert owners(family(*DELTA), {1: 1.0, 0: 0.0}) == [1]


def test_a_delta_ray_that_causes_a_shower_keeps_its_hits_unless_the_track_is_in_them():
    shower = family(*DELTA, (GAMMA, 1), (E, 2), (GAMMA, 3), lengths={1: 0.1})
    assert owners(shower, {1: 1.0}, {4: 1.0}, {3: 1.0, 0: 0.1}) == [1, 1, 0]


@pytest.mark.parametrize(
    "row",
    [
        [(MU, -1), (POSITRON, 0)],  # a positron is a decay, not a delta ray
        [(PI0, -1), (E, 0)],
        [(NEUTRON, -1), (E, 0)],
        [(MU, -1), (GAMMA, 0)],
    ],
)
def test_only_electrons_of_charged_tracks_are_delta_rays(row):
    assert owners(family(*row, lengths={1: 0.1}), {1: 1.0, 0: 0.1}) == [1]


def test_an_electron_from_the_vertex_is_no_delta_ray():
    assert owners(family((E, -1), lengths={0: 0.1}), {0: 1.0}) == [0]


def test_a_shower_needs_two_electrons_and_a_daughter_below_the_second():
    assert causes_shower(family((E, -1), (GAMMA, 0), (E, 1), (GAMMA, 2))).tolist() == [True, False, False, False]
    assert causes_shower(family((E, -1), (GAMMA, 0), (E, 1))).tolist() == [False] * 3
    assert causes_shower(family((GAMMA, -1), (E, 0), (E, 1), (P, 2))).tolist() == [True, True, False, False]
    siblings = family((GAMMA, -1), (E, 0), (POSITRON, 0), (GAMMA, 1), (GAMMA, 2))
    assert causes_shower(siblings).tolist() == [False] * 5


def test_distant_compton_electrons_keep_their_number_where_asked():
    lone = family((NEUTRON, -1), (GAMMA, 0), (E, 1), (E, 1))
    assert owners(lone, {2: 1.0}, {3: 1.0}) == [1, 1]
    assert owners(lone, {2: 1.0}, {3: 1.0}, keep_compton=True) == [2, 3]
    shower = family((NEUTRON, -1), (GAMMA, 0), (E, 1), (GAMMA, 2), (E, 3), (GAMMA, 4))
    assert particle_owners(shower, keep_compton=True).tolist() == [0, 1, 1, 1, 1, 1]
    radiated = family((E, -1), (GAMMA, 0), (E, 1))
    assert particle_owners(radiated, keep_compton=True).tolist() == [0, 0, 0]


def plain_owners(particles: ArgonParticles) -> list[int]:
    result = []
    for row in range(len(particles.pdg)):
        at = row
        while abs(particles.pdg[at]) in (11, 22) and particles.parent[at] >= 0:
            if abs(particles.pdg[particles.parent[at]]) not in (11, 22):
                break
            at = particles.parent[at]
        result.append(int(at))
    return result


def plain_causes(particles: ArgonParticles, row: int, num_electrons: int = 0) -> bool:
    daughters = np.flatnonzero(particles.parent == row)
    num_electrons += abs(particles.pdg[row]) == 11
    if num_electrons >= 2 and len(daughters):
        return True
    return any(plain_causes(particles, int(one), num_electrons) for one in daughters)


@pytest.mark.parametrize("seed", range(20))
def test_random_families_follow_the_rules_step_by_step(seed: int):
    rng = np.random.default_rng(seed)
    rows = [(int(rng.choice([E, POSITRON, GAMMA, MU, P])), int(rng.integers(-1, row))) for row in range(25)]
    particles = family(*rows)
    assert particle_owners(particles).tolist() == plain_owners(particles)
    assert causes_shower(particles).tolist() == [plain_causes(particles, row) for row in range(25)]


def test_charge_of_what_is_met_in_argon():
    pdg = np.array([E, -MU, PI, P, 321, 1000180400, GAMMA, PI0, NEUTRON, 310, 14, 3122])
    assert is_charged(pdg).tolist() == [True] * 6 + [False] * 6
