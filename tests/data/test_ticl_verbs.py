"""``hitloom data`` on TICL files: convert both ways, inspect, compare the layouts."""

from __future__ import annotations

import json

import pytest
from data_toy import toy_event
from ticl_toy import differing, rewritten, set_item, toy_file
from typer.testing import CliRunner

from hitloom.cli.main import build_app
from hitloom.cli.main import run as run_main
from hitloom.data.convert import guess_format
from hitloom.data.graph_counts import DEFINITIONS
from hitloom.data.store import EventStore, EventWriter
from hitloom.data.ticl_read import read_ticl


def run(*arguments, code: int = 0) -> str:
    result = CliRunner().invoke(build_app(), ["data", *(str(argument) for argument in arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ticl") / "histo.root"
    return path, toy_file(path, 3)


def test_to_a_store_and_back(file, tmp_path):
    path, events = file
    assert "3 events written" in run("convert", "--format", "ticl", path, tmp_path / "store")
    store = EventStore(tmp_path / "store")
    assert store.provenance["layout"] == "B"
    assert store.provenance["truth"] == "SC"
    assert all(not differing(one, other, tolerance=3e-7) for one, other in zip(events, store, strict=True))
    run("convert", tmp_path / "store", tmp_path / "again.root", "--to", "ticl")
    for one, other in zip(store, read_ticl(tmp_path / "again.root"), strict=True):
        assert differing(one, other) == []
    run("convert", path, tmp_path / "cp", "--truth", "CP", "--skeleton-features", "--limit", 2)
    store = EventStore(tmp_path / "cp")
    assert len(store) == 2
    assert store[0].provenance_dict()["truth"] == "CP"
    assert len(store[0].edge_feature_names) == 7


def test_folders_keep_their_splits(tmp_path):
    toy_file(tmp_path / "in" / "train" / "a.root", 2, first=0, layouts=("A",))
    toy_file(tmp_path / "in" / "test" / "a.root", 1, first=7, layouts=("A",))
    assert guess_format(tmp_path / "in") == "ticl"
    run("convert", tmp_path / "in", tmp_path / "store")
    store = EventStore(tmp_path / "store")
    splits = {name: [int(store.event_ids[row]) for row in store.indices(name)] for name in ("train", "val", "test")}
    assert splits == {"train": [0, 1], "val": [], "test": [7]}
    run("convert", tmp_path / "store", tmp_path / "out", "--to", "ticl", "--layout", "A")
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.root")) == [
        "test/histo.root",
        "train/histo.root",
    ]
    assert [event.event_id for event in read_ticl(tmp_path / "out" / "train")] == [0, 1]
    assert run_main(["data", "convert", str(tmp_path / "store"), str(tmp_path / "out"), "--to", "ticl"]) == 2
    run("convert", tmp_path / "store", tmp_path / "out", "--to", "ticl", "--layout", "A", "--overwrite")


def test_inspect_counts_the_graphs(file, tmp_path):
    path, events = file
    run("convert", path, tmp_path / "store")
    found = json.loads(run("inspect", tmp_path / "store", "--json"))["graphs"]
    edges = [int(event.edge_index.shape[1]) for event in events]
    positive = sum(int((event.edge_y > 0).sum()) for event in events)
    assert (found["nodes"], found["max_nodes"]) == (
        sum(event.num_points for event in events),
        max(event.num_points for event in events),
    )
    assert (found["edges"], found["mean_edges"]) == (sum(edges), sum(edges) / 3)
    assert (found["positive_edges"], found["negative_edges"]) == (positive, sum(edges) - positive)
    assert found["positive_fraction"] == positive / sum(edges)
    assert sum(found[f"{name}_edges"] for name in ("cross", "signal", "pileup", "unmatched")) == sum(edges)
    pairs = {"cross": 0, "signal": 0, "pileup": 0}
    for event in events:
        for one, other in event.edge_index.T.tolist():
            ends = [int(event.object_index[row]) for row in (one, other)]
            if min(ends) >= 0:
                kinds = {bool(event.object_is_signal[row]) for row in ends}
                pairs["cross" if len(kinds) == 2 else "signal" if kinds == {True} else "pileup"] += 1
    assert {name: found[f"{name}_edges"] for name in pairs} == pairs
    assert found["definitions"] == DEFINITIONS
    assert "positive_fraction" in run("inspect", tmp_path / "store")


def test_stores_of_hits_have_no_such_counts(tmp_path):
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        writer.write(toy_event(0))
    assert "graphs" not in json.loads(run("inspect", tmp_path / "store", "--json"))


def test_layouts_that_agree_and_that_do_not(file, tmp_path):
    assert "the layouts agree" in run("compare-layouts", file[0])

    def shifted(trees):
        set_item(trees["ticlDumper/GNNTraining"], "node_EV2", 0, 1e6)

    other = rewritten(file[0], tmp_path / "other.root", shifted)
    text = run("compare-layouts", other, code=1)
    assert "the layouts differ by more than 0.0001" in text
    assert "EV2" in text


def test_mistakes_are_one_line(file, tmp_path, capsys):
    cut = tmp_path / "cut.root"
    cut.write_bytes(file[0].read_bytes()[:20_000])
    assert run_main(["data", "convert", str(cut), str(tmp_path / "store")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert str(cut) in error
    assert not (tmp_path / "store").exists()
