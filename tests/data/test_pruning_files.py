"""Files of tracksters for pruning: what is written is read again, whatever wrote it, in any layout and any chunks."""

from __future__ import annotations

import json
import logging

import awkward as ak
import numpy as np
import pytest
import torch
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from ticl_toy import rewritten

from hitloom.data.endcap_geometry import get_geometry
from hitloom.data.jagged import Jagged
from hitloom.data.pruning_files import count_tracksters, read_pruning
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.pruning_write import PruningWriter, write_pruning
from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import DataError
from pruning_toy import as_event, toy_trackster

FIELDS = ("x", "energy", "time", "layer", "point_id", "edge_index", "point_y")


def tracksters(sizes=(1, 2, 9, 30), **options):
    return [toy_trackster(size, seed, **options) for seed, size in enumerate(sizes)]


def same(one, other, *, but=()):
    """Compare two tracksters field by field, exactly; positions in mm to the last digit."""
    for name in FIELDS:
        if name not in but:
            assert (name in one) == (name in other), name
            assert name not in one or torch.equal(one[name], other[name]), name
    assert one.feature_names == other.feature_names
    torch.testing.assert_close(one.pos, other.pos, rtol=1e-6, atol=0)
    if "event_id" not in but:
        assert one.event_id == other.event_id


def same_all(ones, others, **options):
    for one, other in zip(ones, others, strict=True):
        same(one, other, **options)


@pytest.mark.parametrize("suffix", ["root", "json"])
@pytest.mark.parametrize("chunk_size", [1, 3, 1000])
def test_what_is_written_is_read(tmp_path, suffix, chunk_size):
    events = tracksters((4, 1, 7, 2, 30, 1, 12))
    path = tmp_path / f"a.{suffix}"
    assert write_pruning(events, path, chunk_size=chunk_size) == 7
    assert count_tracksters(path) == 7
    for size in (2, 1000):
        back = list(read_pruning(path, chunk_size=size))
        same_all(events, back)
        assert all(event.validate() is event for event in back)
    assert [event.event_id for event in read_pruning(path, skip=2, limit=3, chunk_size=2)] == [2, 3, 4]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), suffix=st.sampled_from(["root", "json"])
)
def test_any_graph_comes_back(tmp_path_factory, data, sizes, suffix):
    events = []
    for number, size in enumerate(sizes):
        pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
        edges = data.draw(st.lists(pairs, unique=True, max_size=8)) if size > 1 else []
        # in JSON links stand with their follower
        edges = sorted(edges, key=lambda edge: edge[1]) if suffix == "json" else edges
        event = toy_trackster(size, number)
        event.edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t().contiguous()
        event.point_id = torch.tensor(data.draw(st.permutations([7, 2**40, 3, 11, 12, 5])))[:size]
        event.event_id = 2**40 + 10 - number
        events.append(event)
    path = tmp_path_factory.mktemp("any") / f"a.{suffix}"
    write_pruning(events, path)
    same_all(events, read_pruning(path))


def test_the_store_of_events_keeps_them_too(tmp_path):
    events = tracksters()
    write_pruning(events, tmp_path / "a.root")
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        for event in read_pruning(tmp_path / "a.root"):
            writer.write(event)
    same_all(events, EventStore(tmp_path / "store"))
    write_pruning(EventStore(tmp_path / "store"), tmp_path / "b.root")
    same_all(events, read_pruning(tmp_path / "b.root"))


def test_the_branches_are_those_of_the_layout(tmp_path):
    events = tracksters((5, 3))
    write_pruning(events, tmp_path / "a.root", tracksters="T;1", edges="links/E")
    with uproot.open(tmp_path / "a.root") as file:
        points, links = file["T;1"].arrays(), file["links/E;1"].arrays()
    assert set(points.fields) == {"id", *PRUNING_FEATURES, "label", "layer", "event"}
    assert links.fields == ["origin", "target"]
    for row, event in enumerate(events):
        assert points["id"][row].tolist() == event.point_id.tolist()
        assert points["label"][row].tolist() == event.point_y.tolist()
        for place, name in enumerate(PRUNING_FEATURES):
            assert points[name][row].tolist() == event.x[:, place].tolist()
        ends = [[int(event.point_id[node]) for node in end] for end in event.edge_index.tolist()]
        assert [links["origin"][row].tolist(), links["target"][row].tolist()] == ends
    same_all(events, read_pruning(tmp_path / "a.root", tracksters="T", edges="links/E"))
    write_pruning(events, tmp_path / "bare.root", extras=False)
    with uproot.open(tmp_path / "bare.root") as file:
        assert set(file["Tracksters;1"].keys()) == {"id", *PRUNING_FEATURES, "label"}


def test_the_objects_are_those_of_the_older_form(tmp_path):
    events = tracksters((5,))
    write_pruning(events, tmp_path / "a.json", extras=False)
    (record,) = json.loads((tmp_path / "a.json").read_text())
    assert set(record) == {"id", *PRUNING_FEATURES, "label", "parents"}
    ids = events[0].point_id.tolist()
    parents = [[] for _ in ids]
    for origin, target in events[0].edge_index.t().tolist():
        parents[target].append(ids[origin])
    assert record["parents"] == parents
    assert record["pos_x"] == events[0].x[:, 0].tolist()


def foreign_file(path, events):
    """Write a file with another writer: lists with counters, flags as bytes, doubles."""
    points = {
        name: [event.x[:, place].double().tolist() for event in events] for place, name in enumerate(PRUNING_FEATURES)
    }
    points |= {"id": [event.point_id.tolist() for event in events]}
    points |= {"label": [event.point_y.tolist() for event in events]}
    for name in PRUNING_FEATURES[-2:]:
        points[name] = ak.values_astype(ak.Array(points[name]), np.int8)
    ends = [event.point_id[event.edge_index] for event in events]
    links = {name: [end[row].tolist() for end in ends] for row, name in enumerate(("origin", "target"))}
    tables = {"Tracksters": points, "Edges": links}
    with uproot.recreate(path) as file:
        for name, table in tables.items():
            arrays = {branch: ak.values_astype(ak.Array(lists), table_type(branch)) for branch, lists in table.items()}
            file.mktree(name, {branch: array.type.content for branch, array in arrays.items()}).extend(arrays)


def table_type(branch):
    if branch in ("id", "origin", "target"):
        return np.int32
    return np.int8 if branch.startswith("isSeed") else np.float64


def test_files_of_another_writer(tmp_path):
    events = tracksters((3, 8, 2))
    foreign_file(tmp_path / "a.root", events)
    for event in (back := list(read_pruning(tmp_path / "a.root", first_event_id=0))):
        assert event.point_y.dtype == torch.float32
    same_all(events, back, but=("layer",))


def test_layers_come_from_the_depth_where_no_branch_says_them(tmp_path):
    event = toy_trackster(6, 3)
    table = [322.155, 323.149, 325.212, 326.206, -322.155, 507.679]
    event.x[:, 2] = torch.tensor(table)
    write_pruning([event], tmp_path / "a.root", extras=False)
    (back,) = read_pruning(tmp_path / "a.root")
    depths = get_geometry().z
    assert back.layer.tolist() == [1 + int(np.argmin(np.abs(depths - abs(z)))) for z in table]
    assert back.layer.min() == 1
    assert back.layer.max() > 40


def test_pruning_defect_10_links_to_unknown_layer_clusters_go_with_one_counted_warning(tmp_path, caplog):
    events = tracksters((4, 5, 6))
    write_pruning(events, tmp_path / "whole.root")
    with_links(tmp_path / "whole.root", tmp_path / "a.root", {0: [(999, 1001)], 2: [(1000, 888), (777, 778)]})
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        same_all(events, read_pruning(tmp_path / "a.root", chunk_size=1))
    assert len(caplog.records) == 1
    assert (
        "3 with an end that is not in the trackster, 0 from a layer cluster to itself, 0 that came twice" in caplog.text
    )
    with pytest.raises(DataError, match=r"branch 'origin': entry 0 holds 999: .*mend"):
        list(read_pruning(tmp_path / "a.root", strict_edges=True))


def test_an_identifier_of_another_trackster_is_unknown(tmp_path, caplog):
    one, other = tracksters((3, 3))
    other.point_id = other.point_id + 500
    write_pruning([one, other], tmp_path / "whole.root")
    with_links(tmp_path / "whole.root", tmp_path / "a.root", {0: [(1000, 1501)], 1: [(1000, 1501)]})
    same_all([one, other], read_pruning(tmp_path / "a.root"))
    assert "2 with an end" in caplog.text


def test_links_that_come_twice_or_lead_nowhere_go_too(tmp_path, caplog):
    events = tracksters((4,))
    first = events[0].point_id[events[0].edge_index[:, 0]].tolist()
    write_pruning(events, tmp_path / "whole.root")
    with_links(tmp_path / "whole.root", tmp_path / "a.root", {0: [tuple(first), (1002, 1002)]})
    same_all(events, read_pruning(tmp_path / "a.root"))
    assert (
        "0 with an end that is not in the trackster, 1 from a layer cluster to itself, 1 that came twice" in caplog.text
    )
    with pytest.raises(DataError, match="from a layer cluster to itself"):
        list(read_pruning(tmp_path / "a.root", strict_edges=True))


def with_links(source, target, more):
    """Write a file anew with more links (origin, target) in some entries."""

    def change(trees):
        for place, name in enumerate(("origin", "target")):
            column, lists = trees["Edges"][name]
            rows = [
                np.concatenate([lists.entry(row), np.array([pair[place] for pair in more.get(row, [])], np.int64)])
                for row in range(lists.num_entries)
            ]
            trees["Edges"][name] = column, Jagged.of_lists(rows)

    return rewritten(source, target, change)


def test_pruning_defect_16_the_number_comes_from_the_headers_and_entries_in_chunks(tmp_path, monkeypatch):
    write_pruning(tracksters([3] * 40), tmp_path / "a.root", extras=False)
    reads = []
    whole = uproot.TBranch.array

    def counted(self, *arguments, **options):
        reads.append(self.name)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(uproot.TBranch, "array", counted)
    assert count_tracksters(tmp_path / "a.root") == 40
    assert reads == []
    assert len(list(read_pruning(tmp_path / "a.root", chunk_size=20))) == 40
    assert len(reads) == 2 * len({"id", *PRUNING_FEATURES, "label", "origin", "target"})


def test_pruning_defect_22_both_layouts_give_the_same_and_dropping_is_an_option(tmp_path):
    events = tracksters((9, 3, 20, 6, 1))
    positive = [event for event in events if event.point_y.any()]
    assert 0 < len(positive) < len(events)
    for suffix in ("root", "json"):
        path = tmp_path / f"a.{suffix}"
        write_pruning(events, path)
        same_all(events, read_pruning(path))
        same_all(positive, read_pruning(path, drop_without_positive=True))
    assert any((event.time < 0).any() for event in events)
    for one, other in zip(read_pruning(tmp_path / "a.root"), read_pruning(tmp_path / "a.json"), strict=True):
        assert torch.equal(one.x, other.x)


def test_tracksters_without_labels_are_read(tmp_path):
    events = tracksters(labelled=False)
    for suffix in ("root", "json"):
        write_pruning(events, tmp_path / f"a.{suffix}")
        back = list(read_pruning(tmp_path / f"a.{suffix}", drop_without_positive=True))
        assert all("point_y" not in event for event in back)
        same_all(events, back)


def test_a_score_is_one_more_column(tmp_path):
    event = toy_trackster(4)
    event.x = torch.cat([event.x, torch.tensor([[0.25], [0.0], [1.0], [0.5]])], 1)
    event.feature_names = [*PRUNING_FEATURES, "prune_score"]
    for suffix in ("root", "json"):
        write_pruning([event], tmp_path / f"a.{suffix}")
        (back,) = read_pruning(tmp_path / f"a.{suffix}")
        same(event, back)


def test_numbers_of_events(tmp_path):
    for name, first in (("a", 100), ("b", 50)):
        events = tracksters((2, 2))
        for event in events:
            event.event_id += first
        write_pruning(events, tmp_path / "files" / f"{name}.root")
    assert [event.event_id for event in read_pruning(tmp_path / "files")] == [100, 101, 50, 51]
    assert [event.event_id for event in read_pruning(tmp_path / "files", first_event_id=7)] == [7, 8, 9, 10]
    assert [event.event_id for event in read_pruning(tmp_path / "files", skip=1, limit=2)] == [101, 50]
    write_pruning(events, tmp_path / "files" / "c.root")
    assert [event.event_id for event in read_pruning(tmp_path / "files")] == list(range(6))
    write_pruning(tracksters((2, 2)), tmp_path / "bare.root", extras=False)
    assert [event.event_id for event in read_pruning(tmp_path / "bare.root")] == [0, 1]


def test_cycles(tmp_path, caplog):
    write_pruning(tracksters((2,)), tmp_path / "one.root")
    with uproot.open(tmp_path / "one.root") as file:
        first = {name: file[name].arrays() for name in ("Tracksters", "Edges")}
    with uproot.recreate(tmp_path / "a.root") as file:
        for number in (1, 2):
            for name, arrays in first.items():
                lists = {
                    branch: ak.concatenate([arrays[branch]] * number) for branch in arrays.fields if branch != "event"
                }
                file.mktree(name, {branch: array.type.content for branch, array in lists.items()}).extend(lists)
    assert count_tracksters(tmp_path / "a.root", tracksters="Tracksters", edges="Edges") == 2
    assert caplog.text == ""
    assert count_tracksters(tmp_path / "a.root") == 1
    assert "tree 'Tracksters;1' is read, but it has a later cycle 2" in caplog.text
    with pytest.raises(DataError, match="no tree 'Tracksters;3'; it holds .*Tracksters;2"):
        count_tracksters(tmp_path / "a.root", tracksters="Tracksters;3")


def test_what_cannot_be_written(tmp_path):
    event = toy_trackster(3)
    soft = event.clone()
    soft.point_y = torch.tensor([0.5, 0, 1])
    other = toy_trackster(3, labelled=False)
    hits = as_event(np.zeros((2, 9)), [], None, layer=[1, 1], event_id=0)
    hits.feature_names = [*PRUNING_FEATURES[:8], "other"]
    for events, message in (
        ([], "no event to write"),
        ([soft], "something else than 0 and 1"),
        ([event, other], "lacks 'label', unlike the first"),
        ([other, event], "has 'label', unlike the first"),
        ([hits], "feature 'isSeedCLUE3DLow' is needed"),
    ):
        for suffix in ("root", "json"):
            with pytest.raises(DataError, match=message):
                write_pruning(events, tmp_path / f"a.{suffix}")
    with pytest.raises(DataError, match="layout 'collisions' cannot be written"):
        PruningWriter(tmp_path / "a.root", layout="collisions")
    with pytest.raises(DataError, match="a new file has cycle 1"):
        PruningWriter(tmp_path / "a.root", tracksters="Tracksters;2")
    assert list(tmp_path.iterdir()) == []
    write_pruning([event], tmp_path / "a.json")
    with pytest.raises(DataError, match="already exists"):
        write_pruning([other], tmp_path / "a.json")
    with pytest.raises(RuntimeError):
        write_pruning(failing(other), tmp_path / "a.json", overwrite=True)
    same(next(read_pruning(tmp_path / "a.json")), event)


def failing(event):
    yield event
    raise RuntimeError
