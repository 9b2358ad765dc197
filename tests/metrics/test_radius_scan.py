"""Radius curves from one graph against a graph built anew at every radius and number of neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError, DataError
from hitloom.metrics import EventTruth, RadiusScan, edge_counts, edge_quality, label_edges, truth_edges_of
from hitloom.metrics.radius_scan import radius_for_efficiency
from hitloom.ops.radius import radius_graph

RADII, NEIGHBOURS = (0.1, 0.25, 0.5, 0.9), (1, 3, 8)


def an_event(seed, num_hits=40, num_particles=6):
    generator = np.random.default_rng(seed)
    owner = generator.integers(-1, num_particles, num_hits)
    rows = [np.flatnonzero(owner == p) for p in range(num_particles)]
    edges = np.concatenate([np.stack([r[:-1], r[1:]]) for r in rows], axis=1)
    truth = EventTruth(object_index=owner, object_id=np.arange(1, num_particles + 1), truth_edge_index=edges)
    target = np.arange(num_particles) < num_particles // 2
    points = torch.as_tensor(generator.random((num_hits, 2)) ** 2, dtype=torch.float32)
    return truth_edges_of(truth, target), points


def scan_of(events, radii=RADII, neighbours=NEIGHBOURS):
    scan = RadiusScan(radii=radii, num_neighbours=neighbours)
    for wanted, points in events:
        graph = radius_graph(points, radii[-1], max_neighbours=neighbours[-1])
        scan.add(graph.edge_index(), graph.distance, wanted, len(points))
    return scan


def test_every_point_of_the_curves_equals_a_graph_built_there():
    events = [an_event(seed) for seed in range(3)]
    result = scan_of(events).result()
    assert result["num_events"] == 3
    for curve in result["curves"]:
        for place, radius in enumerate(RADII):
            total, full = {}, 0
            for wanted, points in events:
                graph = radius_graph(points, radius, max_neighbours=curve["num_neighbours"])
                labelled = label_edges(graph.edge_index().numpy(), wanted, len(points))
                for name, value in edge_counts(labelled, wanted).items():
                    total[name] = total.get(name, 0) + value
                full += int((graph.degree == curve["num_neighbours"]).sum())
            assert curve["num_edges"][place] == total["num_edges"]
            assert curve["saturated"][place] == pytest.approx(full / sum(len(points) for _, points in events))
            for name, entry in edge_quality(total).items():
                if name in curve:
                    ours = (curve[name]["numerator"][place], curve[name]["denominator"][place])
                    assert ours == (entry["numerator"], entry["denominator"])
    assert result["curves"][0]["num_edges"][-1] < result["curves"][-1]["num_edges"][-1]


def test_radius_of_the_scan_gives_its_efficiency_on_a_new_graph():
    events = [an_event(seed) for seed in range(4)]
    choice = scan_of(events).radius_for_efficiency(0.25)
    assert choice.reached

    def found(radius):
        total = [0, 0]
        for wanted, points in events:
            graph = radius_graph(points, radius, max_neighbours=NEIGHBOURS[-1])
            counts = edge_counts(label_edges(graph.edge_index().numpy(), wanted, len(points)), wanted)
            total = [total[0] + counts["num_target_true"], total[1] + counts["num_truth_target"]]
        return total[0] / total[1]

    assert found(choice.value) == choice.efficiency >= 0.25
    assert found(float(np.nextafter(np.float32(choice.value), np.float32(0)))) < 0.25


@given(st.lists(st.floats(0, 2, width=32), max_size=25), st.integers(0, 5), st.floats(0.01, 1))
@settings(max_examples=200, deadline=None)
def test_radius_is_the_smallest_that_reaches_the_efficiency(distances, missing, efficiency):
    num_truth = len(distances) + missing
    choice = radius_for_efficiency(distances, num_truth, efficiency)
    array = np.array(distances)
    if not distances:
        assert np.isnan(choice.value)
        assert not choice.reached
        return
    assert choice.efficiency == (array <= choice.value).sum() / num_truth
    if not choice.reached:
        assert choice.value == max(distances)
        assert len(distances) < efficiency * num_truth
        return
    assert choice.efficiency >= efficiency - 1e-9
    assert (array < choice.value).sum() / num_truth < efficiency


def test_no_pairs_and_no_truth_are_undefined_not_an_error():
    truth = EventTruth(
        object_index=[-1, -1], object_id=np.zeros(0, dtype=int), truth_edge_index=np.zeros((2, 0), dtype=int)
    )
    scan = RadiusScan(radii=(1.0,), num_neighbours=(2,))
    scan.add(np.zeros((2, 0), dtype=int), np.zeros(0), truth_edges_of(truth), 2)
    curve = scan.result()["curves"][0]
    assert curve["edge_efficiency.target"]["value"] == [None]
    assert curve["target_purity"]["value"] == [None]
    assert curve["saturated"] == [0.0]
    assert not scan.radius_for_efficiency(0.5).reached


@pytest.mark.parametrize(
    ("edges", "distance", "text"),
    [
        ([[1, 0, 0], [0, 1, 0]], [0.1, 0.1, 0.0], "grouped by centre"),
        ([[1, 2], [0, 0]], [0.3, 0.1], "nearest first"),
        ([[0], [0]], [0.1], "self-loops"),
        ([[1], [0]], [1.5], "within 1"),
        ([[1, 2], [0, 0]], [0.1, 0.2], "at most 1 neighbours"),
        ([[1, 2], [0, 0]], [0.1], "1 distances came"),
    ],
)
def test_graphs_of_another_kind_are_refused(edges, distance, text):
    wanted, _ = an_event(0)
    scan = RadiusScan(radii=(0.5, 1.0), num_neighbours=(1,))
    with pytest.raises(DataError, match=text):
        scan.add(np.array(edges), np.array(distance), wanted, 40)


@pytest.mark.parametrize(("radii", "neighbours"), [((), (1,)), ((0.2, 0.1), (1,)), ((0.1,), (0,)), ((0.1,), (3, 3))])
def test_steps_that_do_not_rise_are_refused(radii, neighbours):
    with pytest.raises(ConfigError, match="rising"):
        RadiusScan(radii=radii, num_neighbours=neighbours)
