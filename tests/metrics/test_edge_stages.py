"""Efficiency and purity of graphs by stage and in bins, against loops over edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from hitloom.errors import DataError
from hitloom.metrics import EventTruth, Selection
from hitloom.metrics.curves import Axis
from hitloom.metrics.edge_stages import EdgeStage, EdgeStages

SELECTION = Selection(min_pt=1.0, min_particle_hits=2)
PT = Axis(name="pt", edges=(0.5, 1.0, 2.0, 4.0), unit="GeV")


def an_event(seed, num_hits=60, num_particles=8):
    generator = np.random.default_rng(seed)
    pos = generator.normal(size=(num_hits, 3)) * [200, 200, 600]
    owner = generator.integers(-1, num_particles, num_hits)
    owner = owner[np.argsort((pos**2).sum(axis=1), kind="stable")]
    pos = pos[np.argsort((pos**2).sum(axis=1), kind="stable")]
    rows = [np.flatnonzero(owner == p) for p in range(num_particles)]
    true = np.concatenate([np.stack([r[:-1], r[1:]]) for r in rows], axis=1)
    truth = EventTruth(
        object_index=owner,
        object_id=np.arange(1, num_particles + 1),
        pt=generator.uniform(0.3, 5, num_particles),
        eta=generator.uniform(-3, 3, num_particles),
        truth_edge_index=true,
    )
    graph = np.concatenate(
        [true[:, generator.random(true.shape[1]) < 0.8], generator.integers(0, num_hits, (2, 70))], 1
    )
    graph = np.stack([graph.min(axis=0), graph.max(axis=0)])
    graph = np.unique(graph[:, graph[0] != graph[1]], axis=1)
    score = generator.random(graph.shape[1])
    above = score > 0.4
    stages = [
        EdgeStage(name="graph", edge_index=graph, score=score),
        EdgeStage(name="filter", edge_index=graph[::-1, above]),
    ]
    return truth, pos, stages


def fed(events, **options):
    accumulated = EdgeStages(selection=SELECTION, axes=(PT,), **options)
    for number, (truth, pos, stages) in enumerate(events):
        accumulated.add(number, truth, pos, stages)
    return accumulated.result()


def sets_of(truth, stages, *, min_pt=1.0):
    """Truth edges, those of targets, and the edges of each stage, as sets of pairs."""
    size = {p: int((truth.object_index == p).sum()) for p in range(truth.num_objects)}
    every = {frozenset(e) for e in truth.truth_edge_index.T.tolist()}
    owner = {e: int(truth.object_index[min(e)]) for e in every}
    target = {e for e in every if truth.pt[owner[e]] > min_pt and size[owner[e]] >= 2}
    return every, target, owner, [{frozenset(e) for e in np.asarray(s.edge_index).T.tolist()} for s in stages]


EVENTS = [an_event(seed) for seed in range(3)]


def test_stage_and_cumulative_efficiency_and_purities_equal_set_arithmetic():
    result = fed(EVENTS)
    sets = [sets_of(truth, stages) for truth, _, stages in EVENTS]
    for number, stage in enumerate(result["stages"]):
        found = sum(len(graphs[number] & target) for _, target, _, graphs in sets)
        truth = sum(len(target) for _, target, _, _ in sets)
        before = sum(len(target & graphs[number - 1]) if number else len(target) for _, target, _, graphs in sets)
        edges = sum(len(graphs[number]) for *_, graphs in sets)
        other = sum(len(graphs[number] & (every - target)) for every, target, _, graphs in sets)

        def sides(name, stage=stage):
            return stage[name]["numerator"], stage[name]["denominator"]

        assert sides("edge_efficiency.target") == (found, truth)
        assert sides("stage_efficiency") == (found, before)
        assert sides("target_purity") == (found, edges)
        assert sides("total_purity") == (found + other, edges)
        assert sides("masked_purity") == (found, edges - other)
        assert stage["edges_per_event"]["value"] == pytest.approx(edges / 3)
    first, second = result["stages"]
    product = first["stage_efficiency"]["value"] * second["stage_efficiency"]["value"]
    assert product == pytest.approx(second["edge_efficiency.target"]["value"])
    assert first["scores"]["num_events"] == 3
    assert second["scores"] is None
    json.dumps(result, allow_nan=False)


def test_curves_and_maps_equal_loops_over_edges():
    result = fed(EVENTS)
    r_edges, z_edges = result["maps"]["r_edges"], result["maps"]["z_edges"]
    eta_edges = result["curves"]["hit_eta"]["edges"]

    def at(values, x):
        return int(np.searchsorted(values, x, side="right")) - 1

    expected = {}

    def add(key, hit):
        top, bottom = expected.get(key, (0, 0))
        expected[key] = (top + int(hit), bottom + 1)

    for truth, pos, stages in EVENTS:
        every, target, owner, graphs = sets_of(truth, stages)
        _, relaxed, _, _ = sets_of(truth, stages, min_pt=-1)
        for number, graph in enumerate(graphs):
            for edge in relaxed:
                add(("pt", number, at(PT.edges, truth.pt[owner[edge]])), edge in graph)
            for edge in target:
                x, y, z = pos[min(edge)]  # hits are ordered by distance from the origin
                r = math.hypot(x, y)
                add(("map", number, at(r_edges, r), at(z_edges, z)), edge in graph)
                add(("r", number, at(r_edges, r)), edge in graph)
            for edge in graph:
                x, y, z = pos[min(edge)]
                if edge not in every - target:
                    add(("masked", number, at(r_edges, math.hypot(x, y)), at(z_edges, z)), edge in target)
                add(("eta", number, at(eta_edges, math.asinh(z / math.hypot(x, y)))), edge in target)

    for number, name in enumerate(("graph", "filter")):
        grid = result["maps"]["stages"][name]
        curves = {axis: item["rates"] for axis, item in result["curves"].items()}
        for key, rate, content in (
            ("map", "edge_efficiency.target", grid["edge_efficiency.target"]),
            ("masked", "masked_purity", grid["masked_purity"]),
        ):
            total = np.array([content["numerator"], content["denominator"]])
            mine = np.zeros_like(total)
            for place, counts in expected.items():
                inside = len(place) == 4 and place[2] < mine.shape[1] and 0 <= place[3] < mine.shape[2]
                if place[:2] == (key, number) and inside:  # the first event settles the bins
                    mine[:, place[2], place[3]] = counts
            assert np.array_equal(total, mine), rate
        for axis, key, rate in (
            ("pt", "pt", "edge_efficiency.target"),
            ("r", "r", "edge_efficiency.target"),
            ("hit_eta", "eta", "target_purity"),
        ):
            curve = curves[axis][rate][name]
            mine = np.zeros((2, len(curve["numerator"])), dtype=int)
            for place, counts in expected.items():
                if place[:2] == (key, number) and 0 <= place[2] < mine.shape[1]:
                    mine[:, place[2]] = counts
            assert [curve["numerator"], curve["denominator"]] == mine.tolist(), axis
    assert "target_purity" not in result["curves"]["pt"]["rates"]


def test_nothing_is_dropped_from_the_bins():
    result = fed(EVENTS)
    for axis, item in result["curves"].items():
        for name, stages in item["rates"].items():
            for stage, curve in stages.items():
                total = sum(curve["denominator"]) + sum(o["denominator"] for o in curve["outside"].values())
                entry = next(s for s in result["stages"] if s["name"] == stage)[name]["denominator"]
                assert total >= entry if axis == "pt" else total == entry


def test_edges_outside_the_input_are_lost_not_left_out():
    truth, pos, stages = EVENTS[0]
    whole = EdgeStages(selection=SELECTION)
    whole.add(0, truth, pos, stages, in_input=np.arange(truth.num_hits) < 40)
    first = whole.result()["stages"][0]["edge_efficiency.target"]
    assert first["denominator"] == len(sets_of(truth, stages)[1])


def test_empty_graphs_and_no_targets_are_undefined_not_an_error():
    truth = EventTruth(object_index=[-1, -1], object_id=np.zeros(0, int), pt=[], truth_edge_index=np.zeros((2, 0), int))
    empty = EdgeStage(name="graph", edge_index=np.zeros((2, 0), dtype=int), score=np.zeros(0))
    accumulated = EdgeStages(selection=SELECTION, axes=(PT,))
    accumulated.add(0, truth, np.zeros((2, 3)), [empty])
    stage = accumulated.result()["stages"][0]
    assert stage["edge_efficiency.target"]["value"] is None
    assert stage["masked_purity"]["value"] is None
    assert stage["masked_f1"]["value"] is None
    assert stage["scores"]["auc"]["full"]["value"] is None


def test_events_without_truth_edges_are_said():
    truth, pos, stages = EVENTS[0]
    accumulated = EdgeStages(selection=SELECTION)
    bare = EventTruth(object_index=truth.object_index, object_id=truth.object_id, pt=truth.pt)
    accumulated.add(1, bare, pos, stages)
    assert accumulated.result() is None
    accumulated.add(2, truth, pos, stages)
    result = accumulated.result()
    assert result["num_events"] == 1
    assert any("1 events without truth edges" in text for text in result["diagnostics"])


def test_other_graphs_and_repeated_events_are_refused():
    truth, pos, stages = EVENTS[0]
    accumulated = EdgeStages(selection=SELECTION)
    accumulated.add(1, truth, pos, stages)
    with pytest.raises(DataError, match="came twice"):
        accumulated.add(1, truth, pos, stages)
    with pytest.raises(DataError, match="other graphs"):
        accumulated.add(2, truth, pos, stages[:1])
    with pytest.raises(DataError, match="pos of shape"):
        accumulated.add(3, truth, pos[:5], stages)
