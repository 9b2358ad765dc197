"""Groups of clusters against particles in hits: scikit-learn as the oracle, and laws that must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from hitloom.errors import DataError
from hitloom.metrics.hit_partition import hit_table, partition_counts, partition_rates
from hitloom.metrics.shower_particles import is_shower_pdg, kind_of, match_particles, merging_counts


def hits_of(seed: int, num_events: int = 4):
    """Random hits: event, group and particle (-1 = none) of each."""
    rng = np.random.default_rng(seed)
    number = rng.integers(0, 200)
    return (
        rng.integers(0, num_events, number), rng.integers(0, 7, number), rng.integers(-1, 5, number)
    )  # fmt: skip


def table_of(event, group, particle, num_events=4, **options):
    return hit_table(
        event=event, group=group, particle=particle, num_hits=np.ones(len(event)), num_events=num_events, **options
    )


def by_hand(group, particle, axis):
    """Purity (axis 0) or completeness (axis 1), hit weighted, from the hits one by one."""
    first, second = (group, particle) if axis == 0 else (particle, group)
    return sum(max(np.bincount(second[first == one])) for one in np.unique(first)) / len(group)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_rates_of_many_events_equal_the_oracle_event_by_event(seed):
    event, group, particle = hits_of(seed)
    rates = partition_rates(partition_counts(table_of(event, group, particle)), min_event_hits=1)
    for number in range(4):
        mine = (event == number) & (particle >= 0)
        if not mine.any():
            assert all(np.isnan(values[number]) for values in rates.values())
            continue
        assert rates["ari"][number] == pytest.approx(adjusted_rand_score(particle[mine], group[mine]), abs=1e-12)
        assert rates["purity"][number] == pytest.approx(by_hand(group[mine], particle[mine], 0))
        assert rates["completeness"][number] == pytest.approx(by_hand(group[mine], particle[mine], 1))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_names_of_groups_and_order_of_entries_change_nothing(seed):
    event, group, particle = hits_of(seed)
    rng = np.random.default_rng(seed + 1)
    order, names = rng.permutation(len(event)), rng.permutation(7) * 10**6
    first = partition_rates(partition_counts(table_of(event, group, particle)))
    second = partition_rates(partition_counts(table_of(event[order], names[group[order]], particle[order])))
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], rtol=1e-12)


def test_clusters_counted_at_once_equal_their_hits_one_by_one():
    event, group, particle = hits_of(3)
    entries, number = np.unique(np.stack([event, group, particle]), axis=1, return_counts=True)
    whole = hit_table(event=entries[0], group=entries[1], particle=entries[2], num_hits=number, num_events=4)
    for name, values in partition_counts(table_of(event, group, particle)).items():
        np.testing.assert_allclose(values, partition_counts(whole)[name], rtol=1e-12, err_msg=name)


def test_everything_in_one_group_has_index_0_and_the_truth_has_index_1():
    particle = np.repeat([0, 1, 2], [20, 30, 5])
    one = partition_rates(partition_counts(table_of(0 * particle, 0 * particle, particle, 1)))
    true = partition_rates(partition_counts(table_of(0 * particle, particle, particle, 1)))
    assert one["ari"][0] == 0
    assert one["completeness"][0] == 1
    assert one["purity"][0] == 30 / 55
    assert one["group_purity"][0] == 30 / 55
    assert all(values[0] == 1 for values in true.values())


def test_rates_of_groups_and_particles_count_each_the_same():
    # group 0: 8 hits of particle 0 and 2 of particle 1; group 1: 1 hit of particle 1
    table = hit_table(event=[0, 0, 0], group=[0, 0, 1], particle=[0, 1, 1], num_hits=[8, 2, 1], num_events=1)
    rates = partition_rates(partition_counts(table))
    assert rates["purity"][0] == 9 / 11
    assert rates["group_purity"][0] == (0.8 + 1) / 2
    assert rates["particle_completeness"][0] == pytest.approx((1 + 2 / 3) / 2)


def test_events_of_ten_hits_with_truth_or_fewer_are_left_out():
    for number, defined in ((10, False), (11, True)):
        particle = np.append(np.zeros(number), np.full(50, -1)).astype(int)
        rates = partition_rates(partition_counts(table_of(0 * particle, 0 * particle, particle, 1)))
        assert np.isfinite(rates["ari"][0]) == defined


def test_hits_without_truth_are_left_out_or_one_more_particle():
    particle = np.array([0] * 10 + [-1] * 10)
    group = np.array([0] * 20)
    dropped = partition_rates(partition_counts(table_of(0 * group, group, particle, 1)), min_event_hits=1)
    kept = table_of(0 * group, group, particle, 1, without_truth="keep")
    kept = partition_rates(partition_counts(kept))
    assert dropped["purity"][0] == 1
    assert kept["purity"][0] == 0.5
    with pytest.raises(DataError, match="'drop' or 'keep' was wanted, not 'hide'"):
        table_of(0 * group, group, particle, 1, without_truth="hide")


def test_only_some_particles_leaves_the_hits_of_others_out_of_groups_too():
    table = hit_table(event=[0, 0, 0], group=[0, 0, 1], particle=[0, 1, 1], num_hits=[20, 15, 5], num_events=1)
    found = partition_rates(partition_counts(table.only_particles(np.array([False, True]))))
    assert found["purity"][0] == 1
    assert found["completeness"][0] == 15 / 20


def test_matching_gives_hits_and_energies_of_the_group_that_holds_most():
    table = hit_table(
        event=[0, 0, 0, 0], group=[0, 1, 1, 2], particle=[0, 0, 1, 1], num_hits=[6, 4, 3, 3],
        energy=[6.0, 2.0, 1.0, 9.0], num_events=1,
    )  # fmt: skip
    match = match_particles(table)
    assert match.group.tolist() == [0, 1]  # of equal groups the first
    assert match.correct_hits.tolist() == [6, 3]
    assert match.group_hits.tolist() == [6, 7]
    assert match.energy.tolist() == [8.0, 10.0]
    assert match.correct_energy.tolist() == [6.0, 1.0]
    assert match.group_energy.tolist() == [6.0, 3.0]
    assert match.majority.tolist() == [True, False]


def test_split_swallowed_and_mixed_are_counted_as_defined():
    # particle 0 in two groups of its own; 1 in one; 2 inside the group of 1; 3 too small to count
    table = hit_table(
        event=[0] * 5, group=[0, 1, 2, 2, 3], particle=[0, 0, 1, 2, 3], num_hits=[9, 5, 20, 7, 4], num_events=1
    )
    counts = {name: int(values[0]) for name, values in merging_counts(table, match_particles(table)).items()}
    assert counts == {
        "particles": 3, "kept_whole": 1, "split": 1, "swallowed": 1, "pieces": 3, "groups": 3, "mixed": 1
    }  # fmt: skip


def test_kinds_of_particles():
    assert is_shower_pdg([11, -11, 22, 13, 211, 2212]).tolist() == [True, True, True, False, False, False]
    assert kind_of([11, -11, 22, 13, 211, 2212, 321]).tolist() == [0, 0, 1, 2, 3, 4, 5]
