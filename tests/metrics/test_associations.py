"""Official scores against dense loops over layer clusters; their limits; merged memberships."""

from __future__ import annotations

import numpy as np
import pytest

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.associations import associate, event_associations, merge_memberships
from trackster_toy import toy_trackster_event


def dense(index, fraction, num_clusters, number):
    table = np.zeros((num_clusters, number))
    table[index[0], index[1]] = fraction
    return table


def oracle(f, g, energy, variant):
    """Return reco-to-sim, sim-to-reco and shared energy of all pairs, by their definitions."""
    shape = (f.shape[1], g.shape[1])
    reco, sim, shared = np.ones(shape), np.ones(shape), np.zeros(shape)
    for t in range(shape[0]):
        for s in range(shape[1]):
            shared[t, s] = (np.minimum(f[:, t], g[:, s]) * energy).sum()
            for own, other, table in ((f[:, t], g[:, s], reco), (g[:, s], f[:, t], sim)):
                if variant == "two_sided":
                    distance = np.minimum(own**2, (own - other) ** 2)
                else:
                    distance = np.maximum(0, own - other) ** 2
                inside = own > 0
                whole = ((own * energy) ** 2)[inside].sum()
                if whole > 0:
                    table[t, s] = (distance * energy**2)[inside].sum() / whole
    return reco, sim, shared


def compare(found, f, g, energy, variant):
    reco, sim, shared = oracle(f, g, energy, variant)
    overlap = (f.T @ g) > 0
    pairs = set(map(tuple, found.pair_index.T.tolist()))
    assert set(map(tuple, np.argwhere(overlap).tolist())) <= pairs
    track, thing = found.pair_index
    np.testing.assert_allclose(found.reco_to_sim, reco[track, thing], atol=1e-12)
    np.testing.assert_allclose(found.sim_to_reco, sim[track, thing], atol=1e-12)
    np.testing.assert_allclose(found.shared_energy, shared[track, thing], atol=1e-12)
    missing = np.ones_like(overlap)
    missing[track, thing] = False
    np.testing.assert_allclose(reco[missing], 1.0)
    np.testing.assert_allclose(sim[missing], 1.0)
    assert (shared[missing] == 0).all()
    np.testing.assert_allclose(found.trackster_energy, f.T @ energy)
    np.testing.assert_allclose(found.object_energy, g.T @ energy)


@pytest.mark.parametrize("variant", ["two_sided", "one_sided"])
@pytest.mark.parametrize("seed", range(5))
def test_equal_dense_loops(seed, variant):
    rng = np.random.default_rng(seed)
    size, num_tracksters, num_objects = 60, 7, 6
    energy = rng.gamma(1.0, 2.0, size)
    tables = []
    for number in (num_tracksters, num_objects):
        index = np.unique(np.stack([rng.integers(0, size, 90), rng.integers(0, number, 90)]), axis=1)
        tables.append((index[:, rng.permutation(index.shape[1])], rng.uniform(0.05, 1, index.shape[1])))
    (member, f), (share, g) = tables
    found = associate(
        member_index=member,
        member_fraction=f,
        share_index=share,
        share_fraction=g,
        cluster_energy=energy,
        num_tracksters=num_tracksters,
        num_objects=num_objects,
        variant=variant,
    )
    compare(found, dense(member, f, size, num_tracksters), dense(share, g, size, num_objects), energy, variant)
    assert (np.diff(found.pair_index[0] * num_objects + found.pair_index[1]) > 0).all()


@pytest.mark.parametrize("variant", ["two_sided", "one_sided"])
def test_events_and_merged_events_equal_dense_loops(variant):
    event = toy_trackster_event(1, num_pileup=3)
    size, energy = event.num_parts, event.part_energy.double().numpy()
    f = dense(event.member_index.numpy(), event.member_fraction.double().numpy(), size, event.num_points)
    g = dense(event.part_share_index.numpy(), event.part_share_fraction.double().numpy(), size, event.num_objects)
    compare(event_associations(event, variant=variant), f, g, energy, variant)
    labels = np.random.default_rng(0).integers(0, 8, event.num_points)
    merged = np.stack([np.minimum(f[:, labels == k].sum(1), 1) for k in range(8)], 1)
    compare(event_associations(event, labels=labels, variant=variant), merged, g, energy, variant)


def simple(member, f, share, g, energy=(3.0, 4.0, 5.0)):
    return associate(
        member_index=member,
        member_fraction=f,
        share_index=share,
        share_fraction=g,
        cluster_energy=energy,
        num_tracksters=1,
        num_objects=1,
    )


def test_the_same_is_zero_and_nothing_shared_is_no_pair():
    rows = [[0, 1, 2], [0, 0, 0]]
    same = simple(rows, [1.0, 0.5, 0.25], rows, [1.0, 0.5, 0.25])
    assert same.reco_to_sim.tolist() == [0.0]
    assert same.sim_to_reco.tolist() == [0.0]
    assert same.shared_fraction().tolist() == [1.0]
    apart = simple([[0], [0]], [1.0], [[1], [0]], [1.0])
    assert apart.pair_index.shape == (2, 0)


def test_one_side_alone_is_free_of_cost_in_the_one_sided_score():
    found = associate(
        member_index=[[0], [0]],
        member_fraction=[0.5],
        share_index=[[0], [0]],
        share_fraction=[0.75],
        cluster_energy=[2.0],
        num_tracksters=1,
        num_objects=1,
        variant="one_sided",
    )
    assert found.reco_to_sim.tolist() == [0.0]
    assert found.sim_to_reco.tolist() == pytest.approx([1 / 9])


def test_without_energy_every_score_is_one():
    found = simple([[0], [0]], [1.0], [[0], [0]], [1.0], energy=(0.0, 0.0, 0.0))
    assert found.reco_to_sim.tolist() == found.sim_to_reco.tolist() == [1.0]
    assert found.shared_fraction().tolist() == [0.0]


def test_merging_keeps_the_energy_of_shared_clusters_and_caps_them_at_one():
    event = toy_trackster_event(2)
    index, fraction = event.member_index.numpy(), event.member_fraction.numpy()
    merged, share = merge_memberships(index, fraction, np.zeros(event.num_points, dtype=np.int64))
    assert len(np.unique(merged[0])) == merged.shape[1] == len(np.unique(index[0]))
    np.testing.assert_allclose(share, 1.0)
    over, capped = merge_memberships([[0, 0], [0, 1]], [0.8, 0.7], [0, 0])
    assert (over.tolist(), capped.tolist()) == ([[0], [0]], [1.0])
    alone, same = merge_memberships(index, fraction, np.arange(event.num_points))
    order = np.lexsort((index[1], index[0]))
    np.testing.assert_array_equal(alone, index[:, order])
    np.testing.assert_allclose(same, fraction[order])
    assert merge_memberships([[0, 1], [0, 1]], [1.0, 1.0], [-1, 0])[0].tolist() == [[1], [0]]


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="variant 'both' is unknown"):
        associate(
            member_index=[[0], [0]],
            member_fraction=[1.0],
            share_index=[[0], [0]],
            share_fraction=[1.0],
            cluster_energy=[1.0],
            num_tracksters=1,
            num_objects=1,
            variant="both",
        )
    with pytest.raises(DataError, match="share_index: 7 is no row from 0 to 2"):
        simple([[0], [0]], [1.0], [[7], [0]], [1.0])
    event = toy_trackster_event(0)
    del event["part_share_index"]
    with pytest.raises(DataError, match="'part_share_index' is needed for the official scores"):
        event_associations(event)
