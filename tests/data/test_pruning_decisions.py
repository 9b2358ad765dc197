"""Tracksters after pruning: kept layer clusters, links to the nearest kept one above, scores."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.pruning_decisions import pruned_event, pruned_events, reattached, with_prune_score, write_pruned
from hitloom.data.pruning_files import read_pruning
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.pruning_statistics import is_rooted_tree
from hitloom.data.pruning_write import write_pruning
from hitloom.data.store import EventStore
from hitloom.errors import DataError
from hitloom.result import Result
from pruning_toy import toy_trackster


def decided(event, *, pruned=(), score=None):
    """Return a result that prunes these rows."""
    labels = torch.zeros(event.num_points, dtype=torch.int64)
    labels[list(pruned)] = -1
    return Result(event_id=event.event_id, point_id=event.point_id, labels=labels, point_score=score)


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(1, 8),
    data=st.data(),
    is_tree=st.booleans(),
)
def test_links_lead_to_the_nearest_kept_ones_above(size, data, is_tree):
    if is_tree:
        edges = [(data.draw(st.integers(0, node - 1)), node) for node in range(1, size)]
    else:
        pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
        edges = data.draw(st.lists(pairs, unique=True, max_size=12)) if size > 1 else []
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    found = reattached(torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t(), keep).t().tolist()
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(size))
    wanted = set()
    for follower in np.flatnonzero(keep):
        for leader in np.flatnonzero(keep):
            # a way whose inner nodes are all pruned
            inner = [node for node in range(size) if not keep[node]]
            between = graph.subgraph([*inner, int(leader), int(follower)])
            if leader != follower and nx.has_path(between, int(leader), int(follower)):
                wanted.add((int(leader), int(follower)))
    assert {tuple(edge) for edge in found} == wanted
    assert len(found) == len(wanted)
    if is_tree and keep[0]:
        rank = torch.cumsum(keep, 0) - 1
        rows = rank[torch.tensor(found, dtype=torch.int64).reshape(-1, 2).t()]
        assert is_rooted_tree(rows, int(keep.sum()))


def test_what_is_kept_is_as_it_was():
    event = toy_trackster(12, 4)
    event.edge_y = torch.ones(11)
    keep = torch.ones(12, dtype=torch.bool)
    assert torch.equal(pruned_event(event, keep).edge_index, event.edge_index)
    keep[[3, 5]] = False
    kept = pruned_event(event, keep).validate()
    for name in ("x", "pos", "layer", "point_id", "point_y", "energy"):
        assert torch.equal(kept[name], event[name][keep])
    assert "edge_y" not in kept
    assert event.num_points == 12
    assert is_rooted_tree(kept.edge_index, 10)


def test_scores_are_probabilities_to_prune():
    event = toy_trackster(3)
    logit = torch.tensor([0.0, 2.0, -40.0])
    scored = with_prune_score(event, decided(event, pruned=[2], score=logit))
    assert scored.feature_names == [*PRUNING_FEATURES, "prune_score"]
    torch.testing.assert_close(scored.x[:, -1], 1 / (1 + torch.exp(logit)))
    assert torch.equal(scored.x[:, :-1], event.x)
    assert event.x.shape[1] == 9
    # again: the newer score; a rule without scores: its decision
    again = with_prune_score(scored, decided(event, pruned=[2]))
    assert again.x[:, -1].tolist() == [0, 0, 1]
    assert again.x.shape[1] == 10


@pytest.mark.parametrize("suffix", ["root", "json", ""])
def test_the_pruned_collection_has_the_form_of_the_input(tmp_path, caplog, suffix):
    events = [toy_trackster(size, seed) for seed, size in enumerate((6, 2, 9))]
    results = [
        decided(events[0], pruned=[1, 4], score=torch.arange(6.0)),
        decided(events[1], pruned=[0, 1], score=torch.zeros(2)),
        decided(events[2], score=torch.ones(9)),
    ]
    path = tmp_path / (f"pruned.{suffix}" if suffix else "pruned")
    assert write_pruned(events, results, path) == 2
    assert "1 tracksters are left out: none of their layer clusters was kept" in caplog.text
    back = list(EventStore(path) if not suffix else read_pruning(path))
    assert [event.event_id for event in back] == [0, 2]
    for event, place in zip(back, (0, 2), strict=True):
        keep = results[place].labels == 0
        assert event.point_id.tolist() == events[place].point_id[keep].tolist()
        torch.testing.assert_close(
            event.columns(["prune_score"])[:, 0], torch.sigmoid(-results[place].point_score[keep])
        )
        edges = sorted(map(tuple, event.edge_index.t().tolist()))
        wanted = pruned_event(events[place], keep).edge_index.t().tolist()
        assert edges == sorted(map(tuple, wanted))
    whole = tmp_path / (f"whole.{suffix}" if suffix else "whole")
    assert write_pruned(events, results, whole, keep_all=True) == 3
    back = list(EventStore(whole) if not suffix else read_pruning(whole))
    for event, before in zip(back, events, strict=True):
        assert torch.equal(event.columns(PRUNING_FEATURES), before.x)
        assert event.edge_index.shape == before.edge_index.shape


def test_results_of_other_tracksters_are_refused():
    event, other = toy_trackster(3, 1), toy_trackster(3, 2)
    with pytest.raises(DataError, match="the result is of event 2"):
        list(pruned_events([event], [decided(other)]))
    other.event_id, other.point_id = 1, other.point_id + 1
    with pytest.raises(DataError, match="of other layer clusters"):
        list(pruned_events([event], [decided(other)]))


def test_nothing_is_written_when_nothing_is_kept(tmp_path):
    event = toy_trackster(2)
    with pytest.raises(DataError, match="no event to write"):
        write_pruned([event], [decided(event, pruned=[0, 1])], tmp_path / "a.root")
    assert list(tmp_path.iterdir()) == []
    write_pruning([event], tmp_path / "a.root")
