"""The loss budget against small events by hand and a networkx-free brute force; graph quality by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError, DataError
from hitloom.metrics import (
    EventTruth,
    LossBudget,
    Selection,
    Stage,
    graph_counts,
    graph_quality,
    match_event,
    stage_outcome,
)


def chain(index):
    """Truth edges between consecutive hits of each particle."""
    edges = [
        (a, b)
        for particle in sorted(set(index) - {-1})
        for a, b in zip(*(lambda h: (h[:-1], h[1:]))([i for i, p in enumerate(index) if p == particle]), strict=True)
    ]
    return np.array(edges, dtype=np.int64).reshape(-1, 2).T


def brute_parts(edges, index, present, particle):
    """Size of the largest part of one particle by flooding."""
    hits = {i for i, p in enumerate(index) if p == particle and present[i]}
    links = {i: set() for i in hits}
    for a, b in edges:
        if a in hits and b in hits:
            links[a].add(b)
            links[b].add(a)
    best = 0
    while hits:
        front, seen = [hits.pop()], set()
        while front:
            hit = front.pop()
            seen.add(hit)
            front += [other for other in links[hit] if other not in seen]
        hits -= seen
        best = max(best, len(seen))
    return best


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_graph_stage_equals_brute_force(data):
    num_hits = data.draw(st.integers(1, 25))
    index = data.draw(st.lists(st.integers(-1, 3), min_size=num_hits, max_size=num_hits))
    ends = st.integers(0, num_hits - 1)
    edges = data.draw(st.lists(st.tuples(ends, ends), max_size=60))
    present = np.array(data.draw(st.lists(st.booleans(), min_size=num_hits, max_size=num_hits)))
    truth = EventTruth(object_index=index, object_id=[1, 2, 3, 4], truth_edge_index=chain(index))
    stage = Stage(name="g", edge_index=np.array(edges, dtype=np.int64).reshape(-1, 2).T, present=present)
    outcome = stage_outcome(stage, truth, Selection())
    real = {frozenset(e) for e in edges if e[0] != e[1] and present[e[0]] and present[e[1]]}
    for particle in range(4):
        size = index.count(particle)
        largest = brute_parts(edges, index, present, particle)
        mine = [frozenset(e) for e in chain(index).T.tolist() if index[e[0]] == particle]
        assert outcome.largest_part[particle] == largest
        assert outcome.num_present[particle] == sum(present[i] for i in range(num_hits) if index[i] == particle)
        assert outcome.findable[particle] == (2 * largest > size and largest >= 3)
        assert outcome.num_truth_edges[particle] == len(mine)
        assert outcome.num_truth_edges_present[particle] == sum(e in real for e in mine)


def event():
    """Two targets of 5 hits, one soft particle of 3, two noise hits."""
    index = [0] * 5 + [1] * 5 + [2] * 3 + [-1] * 2
    return EventTruth(
        object_index=index,
        object_id=[11, 12, 13],
        pt=[2.0, 3.0, 0.2],
        eta=[0.0, 1.0, 2.0],
        truth_edge_index=chain(index),
    )


def test_waterfall_by_hand():
    truth = event()
    keep = np.ones(15, dtype=bool)
    keep[[5, 6, 7]] = False  # particle 12 keeps 2 of 5 hits: gone for good
    knn = [[0, 1, 3, 8, 13], [1, 2, 4, 9, 14]]  # 11 is cut into 3 + 2 hits
    labels = np.array([0, 0, -1, 1, 1, -1, -1, -1, 2, 2, 3, 3, 3, -1, -1])
    stages = [
        Stage(name="input"),
        Stage(name="filter", present=keep),
        Stage(name="knn", edge_index=knn, present=keep, num_neighbours=1, bounding=False),
        Stage(name="grouping", labels=labels),
    ]
    budget = LossBudget(selection=Selection(min_pt=1.0))
    budget.add(1, truth, stages)
    result = json.loads(json.dumps(budget.result(), allow_nan=False))
    assert result["num_target"] == 2
    names = [stage["name"] for stage in result["stages"]]
    assert names == ["input", "filter", "knn", "grouping"]

    def column(key):
        return [stage[key]["numerator"] for stage in result["stages"]]

    assert column("hits_present") == [10, 7, 7, 6]
    assert column("truth_edges_present") == [8, 5, 4, 3]
    assert column("clusterable") == [2, 1, 1, 1]
    assert column("findable") == [2, 1, 1, 0]
    assert column("cumulative") == [2, 1, 1, 0]
    assert [stage["lost_here"] for stage in result["stages"]] == [0, 1, 0, 1]
    assert result["stages"][0]["largest_part"]["value"] == 1.0
    assert result["stages"][2]["largest_part"]["value"] == pytest.approx((3 / 5 + 2 / 5) / 2)
    assert all(stage["findable"]["definition"] for stage in result["stages"])
    assert result["stages"][1]["graph"] is None
    curve = result["curves"]["eta"]["stages"]["filter"]
    assert (sum(curve["numerator"]), sum(curve["denominator"])) == (1, 2)
    # On the pt axis pt is not cut: the soft particle is in the underflow.
    assert result["curves"]["pt"]["stages"]["filter"]["outside"]["underflow"] == {"numerator": 1, "denominator": 1}
    assert "nothing findable: stage 'grouping'" in result["diagnostics"][0]


def test_a_stage_that_does_not_bound_can_be_recovered():
    truth = event()
    empty = np.zeros((2, 0), dtype=np.int64)
    for bounding, numerator in ((True, 0), (False, 2)):
        budget = LossBudget(selection=Selection(min_pt=1.0))
        labels = np.maximum(truth.object_index, -1)
        budget.add(1, truth, [Stage(name="knn", edge_index=empty, bounding=bounding), Stage(name="db", labels=labels)])
        result = budget.result()
        assert result["stages"][1]["cumulative"]["numerator"] == numerator
        assert any(text.startswith("no edges") for text in result["diagnostics"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 5)), max_size=40))
def test_grouping_stage_is_double_majority(hits):
    truth = EventTruth(object_index=[h[0] for h in hits], object_id=[1, 2, 3, 4, 5])
    labels = np.array([h[1] for h in hits], dtype=np.int64)
    selection = Selection()
    target = selection.target(truth, truth.num_points, np.ones(5, dtype=bool))
    outcome = stage_outcome(Stage(name="g", labels=labels), truth, selection)
    counts = match_event(labels, truth, selection)["double_majority"]
    assert (outcome.findable & target).sum() == counts["num_found"]
    ideal = stage_outcome(Stage(name="oracle", present=labels >= 0), truth, selection)
    enough = outcome.largest_part >= 3
    assert (outcome.findable & enough <= ideal.findable).all(), "only foreign hits can beat the pure oracle"


def test_a_foreign_hit_can_beat_the_oracle_and_is_reported():
    # Two of three hits are left; with a noise hit they make a valid track that holds the majority both ways.
    truth = EventTruth(object_index=[0, 0, 0, -1], object_id=[1])
    keep = np.array([True, True, False, True])
    budget = LossBudget(selection=Selection())
    budget.add(1, truth, [Stage(name="filter", present=keep), Stage(name="db", labels=[0, 0, -1, 0])])
    stages = budget.result()["stages"]
    assert [stage["findable"]["numerator"] for stage in stages] == [0, 1]
    assert [stage["cumulative"]["numerator"] for stage in stages] == [0, 0]
    assert [stage["recovered_here"] for stage in stages] == [0, 1]


def test_graph_quality_by_hand():
    truth = event()
    # Repeats, a self-loop and both directions: 0-1 (twice), 1-0, 2-2, 1-3 (same particle, no truth edge), 4-5, 13-14.
    edges = [[0, 0, 1, 2, 1, 4, 13, 5], [1, 1, 0, 2, 3, 5, 14, 6]]
    target = np.array([True, False, False])
    counts = graph_counts(edges, truth, target=target, num_neighbours=2)
    assert counts == {
        "num_edges": 6,
        "num_same": 4,
        "num_same_target": 3,
        "num_truth": 10,
        "num_truth_kept": 2,
        "num_truth_target": 4,
        "num_truth_target_kept": 1,
        "num_possible": 26,
        "num_possible_target": 10,
    }
    quality = graph_quality(counts)
    assert quality["edge_efficiency"]["value"] == 2 / 10
    assert quality["edge_purity"]["value"] == 4 / 6
    assert quality["edge_f1"]["value"] == pytest.approx(2 / (1 / 0.2 + 6 / 4))
    assert quality["neighbour_efficiency"]["value"] == 4 / 26
    assert quality["neighbour_efficiency.target"]["value"] == 3 / 10
    assert graph_quality(graph_counts(np.zeros((2, 0), np.int64), truth))["edge_purity"]["value"] is None
    everything = np.array([(a, b) for a in range(15) for b in range(15) if a != b]).T
    full = graph_quality(graph_counts(everything, truth, num_neighbours=2))["neighbour_efficiency"]
    assert full["interval"] is None
    assert full["value"] > 1


def test_input_universe_and_missing_truth_edges():
    truth = EventTruth(object_index=[0] * 6, object_id=[4])
    seen = np.array([True] * 3 + [False] * 3)
    for universe, findable in (("original", 0), ("input", 1)):
        budget = LossBudget(selection=Selection(universe=universe))
        budget.add(1, truth, [Stage(name="input")], in_input=seen)
        result = budget.result()
        assert result["stages"][0]["findable"]["numerator"] == findable
        assert result["stages"][0]["truth_edges_present"]["value"] is None
        assert any(text.startswith("no truth edges") for text in result["diagnostics"])
        assert result["curves"] == {}


def test_bad_stages():
    truth = event()
    budget = LossBudget(selection=Selection())
    with pytest.raises(DataError, match="no event was added"):
        budget.result()
    with pytest.raises(ConfigError, match="a graph or labels"):
        budget.add(1, truth, [Stage(name="x", edge_index=[[0], [1]], labels=np.zeros(15, np.int64))])
    with pytest.raises(DataError, match="15 is no row of the 15 hits"):
        budget.add(1, truth, [Stage(name="x", edge_index=[[0], [15]])])
    with pytest.raises(DataError, match="different names"):
        budget.add(1, truth, [Stage(name="x"), Stage(name="x")])
    budget.add(1, truth, [Stage(name="x")])
    with pytest.raises(DataError, match="event 1 came twice"):
        budget.add(1, truth, [Stage(name="x")])
    with pytest.raises(DataError, match="other stages than"):
        budget.add(2, truth, [Stage(name="y")])
