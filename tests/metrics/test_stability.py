"""Stability: flips and shifts of edges, change of partitions, what objects lose; each against a count by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.edge_change import ScoredEdges, edge_change, model_difference
from hitloom.metrics.matched_overlap import matched_overlap
from hitloom.metrics.partition_change import partition_change
from hitloom.metrics.stability import StabilityStudy, compare_models, model_pair
from hitloom.result import Result
from trackster_toy import toy_trackster_event

LABELS = st.lists(st.integers(-1, 4), min_size=0, max_size=14)


def result_of(event: Event, probability: torch.Tensor | None = None, *, cut: float = 0.5, seed: int = 0) -> Result:
    """A result whose labels are the components of the edges above a cut; without probabilities, random labels."""
    from hitloom.grouping import connected_components

    if probability is None:
        labels = torch.randint(-1, 5, (event.num_points,), generator=torch.Generator().manual_seed(seed))
        return Result(event_id=0, point_id=torch.arange(event.num_points), labels=labels)
    edges = event.edge_index
    labels = connected_components(edges[:, probability > cut], event.num_points)
    return Result(
        event_id=int(event.event_id),
        point_id=torch.arange(event.num_points),
        labels=labels,
        edge_index=edges,
        edge_score=torch.logit(probability.double()),
    )


def scores(event: Event, seed: int) -> torch.Tensor:
    return torch.rand(event.edge_index.shape[1], generator=torch.Generator().manual_seed(seed)) * 0.98 + 0.01


@settings(max_examples=150, deadline=None)
@given(LABELS, st.randoms(use_true_random=False))
def test_pairs_are_counted_as_by_hand(first: list[int], random: object):
    second = list(first)
    random.shuffle(second)  # type: ignore[attr-defined]
    found = partition_change(first, second)
    joined = [
        {(i, j) for i, j in combinations(range(len(labels)), 2) if labels[i] == labels[j] >= 0}
        for labels in (first, second)
    ]
    both = joined[0] & joined[1]
    assert (found["joined_pairs_first"], found["joined_pairs_second"]) == (len(joined[0]), len(joined[1]))
    assert found["joined_pairs_both"] == len(both)
    if joined[0]:
        assert found["kept_pairs"] == pytest.approx(len(both) / len(joined[0]))
        assert found["gained_pairs"] == pytest.approx(len(joined[1] - both) / len(joined[1]))
    if len(first) > 1:
        alone = [[value if value >= 0 else 100 + i for i, value in enumerate(labels)] for labels in (first, second)]
        assert found["rand_index"] == pytest.approx(adjusted_rand_score(*alone), abs=1e-12)


def test_the_same_partition_with_other_names_has_not_changed():
    change = partition_change([3, 3, -1, 0, -1], [0, 0, -1, 9, -1])
    assert (change["rand_index"], change["kept_pairs"], change["gained_pairs"]) == (1.0, 1.0, 0.0)
    assert partition_change([], [])["rand_index"] == 1.0
    with pytest.raises(DataError, match="3 and of 2 points"):
        partition_change([0, 0, 1], [0, 0])


def as_edges(pairs: dict[tuple[int, int], float]) -> ScoredEdges:
    index = np.array(list(pairs), dtype=np.int64).reshape(-1, 2).T
    return ScoredEdges(edge_index=index, probability=np.array(list(pairs.values()), dtype=np.float64))


def test_flips_and_shifts_of_edges_that_come_and_go():
    base = as_edges({(0, 1): 0.9, (1, 2): 0.3, (2, 3): 0.6})
    samples = [
        as_edges({(0, 1): 0.9, (1, 2): 0.3, (2, 3): 0.6}),  # nothing changes
        as_edges({(2, 3): 0.4, (1, 2): 0.7}),  # two flip, one is gone and flips too
        as_edges({(1, 0): 0.9, (0, 1): 0.8, (5, 6): 0.2, (1, 2): 0.1, (2, 3): 0.55}),  # the opposite edge is another
    ]
    change = edge_change(base, samples, threshold=0.5, num_points=7)
    np.testing.assert_allclose(change.flip_rate, [1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(change.shift, [(0.9 + 0.1) / 3, (0.4 + 0.2) / 3, (0.2 + 0.05) / 3])
    assert change.appeared == pytest.approx(1 / 3)  # (1, 0) passes, (5, 6) does not
    none = edge_change(base, [as_edges({})], threshold=0.5, num_points=7)
    np.testing.assert_array_equal(none.flip_rate, [1, 0, 1])
    with pytest.raises(DataError, match="at least one"):
        edge_change(base, [], threshold=0.5, num_points=7)


def test_without_noise_nothing_flips():
    event = toy_trackster_event(1)
    base = result_of(event, scores(event, 1))
    study = StabilityStudy(threshold=0.5, num_partition_samples=3)
    study.add(event, base, [base] * 4)
    means = study.result()["means"]
    assert means["flip_rate"]["value"] == means["shift"]["value"] == means["appeared"]["value"] == 0.0
    assert means["rand_index"]["value"] == means["kept_pairs"]["value"] == 1.0
    assert means["dU"]["value"] == means["dU_perturbed"]["value"]
    assert means["dU_moved"]["value"] == means["dO_moved"]["value"] == 0.0
    assert study.maps.edges.values("flip_rate", "sum").sum() == 0


def test_the_threshold_decides_what_is_a_flip():
    event = toy_trackster_event(2)
    first = torch.full((event.edge_index.shape[1],), 0.55)
    base, sample = result_of(event, first), result_of(event, first + 0.1)
    rates = {}
    for threshold in (0.5, 0.6, 0.7):
        study = StabilityStudy(threshold=threshold, num_partition_samples=1)
        study.add(event, base, [sample, base])
        rates[threshold] = study.result()["means"]["flip_rate"]["value"]
        assert study.result()["means"]["shift"]["value"] == pytest.approx(0.05)
    assert rates == {0.5: 0.0, 0.6: 0.5, 0.7: 0.0}


def test_two_different_models_give_different_maps_and_each_keeps_its_threshold():
    events = [toy_trackster_event(seed) for seed in (3, 4, 5)]
    studies = [StabilityStudy(threshold=cut, num_partition_samples=2) for cut in (0.5, 0.8)]
    pairs = []
    for number, event in enumerate(events):
        bases = []
        for model, study in enumerate(studies):
            base = result_of(event, scores(event, 10 * model + number))
            study.add(event, base, [result_of(event, scores(event, 100 + 7 * k + model)) for k in range(3)])
            bases.append(base)
        pairs.append(model_pair(event, *bases, thresholds=(0.5, 0.8)))
        p, q = (base.edge_score.sigmoid() for base in bases)
        assert pairs[-1]["disagreement"] == float(((p > 0.5) != (q > 0.8)).sum())
        assert pairs[-1]["distance"] == pytest.approx(float((p - q).abs().sum()))
    maps = [study.maps.edges.grid("flip_rate", max_distance=2.0) for study in studies]
    assert np.nanmax(np.abs(maps[0].minus(maps[1]).values)) > 0.3
    both = compare_models(*studies, pairs)
    rates = [study.result()["means"]["flip_rate"]["value"] for study in studies]
    entry = both["differences"]["flip_rate"]
    assert entry["difference"] == pytest.approx(rates[1] - rates[0])
    assert entry["interval"][0] <= entry["difference"] <= entry["interval"][1]
    assert 0 < both["agreement"]["disagreement"]["value"] < 1
    same = model_pair(events[0], bases[0], bases[0], thresholds=(0.5, 0.5))
    assert (same["disagreement"], same["distance"], same["rand_index"]) == (0.0, 0.0, 1.0)


def test_edges_of_either_model_are_compared():
    first, second = as_edges({(0, 1): 0.9, (1, 2): 0.2}), as_edges({(1, 2): 0.9, (3, 4): 0.7, (4, 5): 0.1})
    found = model_difference(first, second, thresholds=(0.5, 0.5), num_points=6)
    assert found == {"num_edges": 4.0, "disagreement": 3.0, "distance": pytest.approx(0.9 + 0.7 + 0.7 + 0.1)}


def test_objects_against_sets():
    event = toy_trackster_event(6, num_particles=6, num_pileup=4)
    for seed in range(4):
        labels = result_of(event, seed=seed).labels
        found = matched_overlap(event, labels)
        energy, owner = event.energy.double().tolist(), event.object_index.tolist()
        groups: dict[object, set[int]] = {}
        for row, label in enumerate(labels.tolist()):
            groups.setdefault(label if label >= 0 else ("alone", row), set()).add(row)
        objects = sorted({value for value in owner if value >= 0})
        for place, number in enumerate(objects):
            mine = {row for row, value in enumerate(owner) if value == number}
            weight = {key: sum(energy[row] for row in rows & mine) for key, rows in groups.items()}
            best = max(weight.values())
            choices = [rows for key, rows in groups.items() if weight[key] == best]
            assert found.missing[place] == pytest.approx(sum(energy[row] for row in mine) - best)
            foreign = [sum(energy[row] for row in rows) - best for rows in choices]
            assert min(abs(found.foreign[place] - value) for value in foreign) < 1e-9 * max(energy)
            assert (found.kind[place] == 1) == bool(event.object_is_signal[number])
        assert found.weight.size == len(objects)


def test_all_apart_misses_much_and_holds_nothing_foreign():
    event = toy_trackster_event(7)
    apart = matched_overlap(event, torch.full((event.num_points,), -1))
    assert apart.foreign.tolist() == [0.0] * apart.weight.size
    together = matched_overlap(event, torch.zeros(event.num_points, dtype=torch.int64))
    np.testing.assert_allclose(together.missing, 0, atol=1e-9)
    assert together.foreign.min() > 0


def test_points_without_energy_are_counted():
    event = Event(
        pos=torch.rand(5, 3), object_index=torch.tensor([0, 0, 0, -1, 1]), object_id=torch.tensor([7, 8]), event_id=1
    )
    found = matched_overlap(event, torch.tensor([0, 0, 1, 0, -1]))
    assert (found.missing.tolist(), found.foreign.tolist()) == ([1.0, 0.0], [1.0, 0.0])


def mirrored(event: Event) -> Event:
    """The same event in the other endcap."""
    result = event.clone()
    result.pos = event.pos * torch.tensor([1.0, 1.0, -1.0])
    return result


def test_a_mirrored_event_doubles_the_entries_of_the_map():
    event = toy_trackster_event(8, num_particles=5, num_pileup=3)
    base = [result_of(event, seed=1), result_of(event, seed=2)]
    alone, both = (StabilityStudy(threshold=None, num_partition_samples=1) for _ in range(2))
    alone.add(event, base[0], [base[1]])
    both.add(event, base[0], [base[1]])
    both.add(mirrored(event), base[0], [base[1]])
    for kind in ("signal", "pileup"):
        one, two = alone.maps.objects[kind], both.maps.objects[kind]
        assert one.num_entries > 0
        assert np.array_equal(one.places, two.places)
        assert (one.places[:, 0] > 0).all()
        for name in ("dU", "dO", "weight"):
            np.testing.assert_allclose(two.values(name, "sum"), 2 * one.values(name, "sum"))
            np.testing.assert_allclose(two.values(name), one.values(name))


def test_partitions_alone_where_a_system_scores_no_edges():
    event = toy_trackster_event(9)
    study = StabilityStudy(threshold=None, num_partition_samples=5)
    study.add(event, result_of(event, seed=1), [result_of(event, seed=seed) for seed in (2, 3)])
    found = study.result()
    assert "flip_rate" not in found["means"]
    assert found["per_event"][0]["num_partition_samples"] == 2
    assert found["means"]["rand_index"]["interval"] is None
    wrong = StabilityStudy(threshold=0.5, num_partition_samples=1)
    with pytest.raises(DataError, match="scores no edges"):
        wrong.add(event, result_of(event, seed=1), [result_of(event, seed=2)])
    with pytest.raises(DataError, match="another number of points"):
        wrong.add(event, result_of(event, seed=1), [result_of(toy_trackster_event(9, num_particles=2), seed=2)])


def test_an_event_without_tracksters():
    event = toy_trackster_event(0, num_particles=0)
    study = StabilityStudy(threshold=0.5, num_partition_samples=1)
    base = result_of(event, torch.zeros(0))
    study.add(event, base, [base])
    means = study.result()["means"]
    assert means["flip_rate"]["value"] is None
    assert means["rand_index"]["value"] == 1.0
