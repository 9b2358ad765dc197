"""``hitloom data`` on tracksters for pruning: convert both ways, inspect, write what was pruned."""

from __future__ import annotations

import json

import pytest
import torch
from ticl_toy import toy_file
from typer.testing import CliRunner

from hitloom.cli.main import build_app
from hitloom.cli.main import run as run_main
from hitloom.data.convert import guess_format
from hitloom.data.pruning_files import read_pruning
from hitloom.data.pruning_statistics import LABEL_DEFINITIONS, SIZE_DEFINITIONS, is_rooted_tree
from hitloom.data.pruning_write import write_pruning
from hitloom.data.results import ResultWriter
from hitloom.data.store import EventStore, EventWriter
from hitloom.result import Result
from pruning_toy import as_event, toy_trackster


def run(*arguments, code: int = 0) -> str:
    result = CliRunner().invoke(build_app(), ["data", *(str(argument) for argument in arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


@pytest.fixture
def file(tmp_path):
    events = [toy_trackster(size, seed) for seed, size in enumerate((6, 1, 12, 3, 20, 8))]
    write_pruning(events, tmp_path / "a.root")
    return tmp_path / "a.root", events


def graphs(events):
    return [(event.event_id, event.x.tolist(), event.edge_index.tolist(), event.point_y.tolist()) for event in events]


def test_to_a_store_and_back(file, tmp_path):
    path, events = file
    assert "6 events written" in run("convert", "--format", "pruning", path, tmp_path / "store", "--strict-edges")
    store = EventStore(tmp_path / "store")
    assert graphs(store) == graphs(events)
    assert store.provenance["converted_from"] == "pruning"
    assert store.provenance["strict_edges"] is True
    run(
        "convert",
        tmp_path / "store",
        tmp_path / "b.root",
        "--to",
        "pruning",
        "--tracksters-tree",
        "T",
        "--edges-tree",
        "L",
    )
    run("convert", tmp_path / "store", tmp_path / "b.json", "--to", "pruning")
    for options in (
        [tmp_path / "b.root", "--format", "pruning", "--tracksters-tree", "T;1", "--edges-tree", "L;1"],
        [tmp_path / "b.json"],
    ):
        run("convert", *options, tmp_path / "again", "--overwrite")
        assert graphs(EventStore(tmp_path / "again")) == graphs(events)
    run("convert", tmp_path / "b.json", tmp_path / "some", "--drop-without-positive", "--skip", 1)
    wanted = [event for event in events[1:] if event.point_y.any()]
    assert graphs(EventStore(tmp_path / "some")) == graphs(wanted)


def test_splits_become_folders_and_come_back(file, tmp_path):
    path, _ = file
    run("convert", path, tmp_path / "store")
    run("split", tmp_path / "store", "--counts", 3, 2, 1)
    run("convert", tmp_path / "store", tmp_path / "out", "--to", "pruning")
    names = sorted(str(found.relative_to(tmp_path / "out")) for found in (tmp_path / "out").rglob("*.*"))
    assert names == [f"{split}/tracksters.root" for split in ("test", "train", "val")]
    run("convert", tmp_path / "out", tmp_path / "again")

    def splits(folder):
        store = EventStore(folder)
        return {name: {int(store.event_ids[row]) for row in store.indices(name)} for name in ("train", "val", "test")}

    assert splits(tmp_path / "again") == splits(tmp_path / "store")
    assert run_main(["data", "convert", str(tmp_path / "store"), str(tmp_path / "out"), "--to", "pruning"]) == 2
    run("convert", tmp_path / "store", tmp_path / "out", "--to", "pruning", "--overwrite")


def test_formats_are_told_apart(file, tmp_path):
    path, _ = file
    assert guess_format(path) == "pruning"
    assert guess_format(tmp_path / "b.json") == "pruning"
    toy_file(tmp_path / "ticl" / "histo.root", 1, layouts=("A",))
    assert guess_format(tmp_path / "ticl" / "histo.root") == "ticl"
    assert guess_format(tmp_path / "ticl") == "ticl"
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder" / "a.root")
    assert guess_format(tmp_path / "folder") == "pruning"


def test_inspect_counts_tracksters(file, tmp_path):
    path, events = file
    run("convert", path, tmp_path / "store")
    found = json.loads(run("inspect", tmp_path / "store", "--json"))["pruning"]
    sizes = [event.num_points for event in events]
    positive = [int(event.point_y.sum()) for event in events]
    energy = torch.cat([event.energy for event in events]).double()
    to_prune = torch.cat([event.point_y for event in events]).bool()
    wanted = {
        "tracksters": 6,
        "layer_clusters": 50,
        "mean_size": 50 / 6,
        "median_size": 7,
        "max_size": 20,
        "single": 1,
        "links": 44,
        "links_per_node": 44 / 50,
        "trees": 6,
        "without_positive_fraction": sum(number == 0 for number in positive) / 6,
        "above_tenth_fraction": sum(number / size > 0.1 for number, size in zip(positive, sizes, strict=True)) / 6,
        "all_positive": 0,
        "prunable_fraction": sum(positive) / 50,
        "prunable_energy_fraction": pytest.approx(float(energy[to_prune].sum() / energy.sum())),
    }
    assert found == wanted | {"definitions": SIZE_DEFINITIONS | LABEL_DEFINITIONS}
    assert set(wanted) == set(found["definitions"])
    text = run("inspect", tmp_path / "store")
    assert "prunable_energy_fraction" in text


def test_inspect_without_labels(tmp_path):
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        writer.write(toy_trackster(5, labelled=False))
    found = json.loads(run("inspect", tmp_path / "store", "--json"))["pruning"]
    assert set(found) - {"definitions"} == set(SIZE_DEFINITIONS)


@pytest.mark.parametrize(
    ("edges", "num_points", "is_tree"),
    [
        ([], 1, True),
        ([(0, 1), (0, 2), (2, 3)], 4, True),
        ([(3, 2), (2, 1), (1, 0)], 4, True),
        ([(0, 1)], 3, False),
        ([(0, 1), (2, 1)], 3, False),
        ([(1, 2), (2, 3), (3, 1)], 4, False),
        ([(0, 0)], 2, False),
        ([], 0, False),
    ],
)
def test_rooted_trees(edges, num_points, is_tree):
    assert is_rooted_tree(torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t(), num_points) is is_tree


def test_what_was_pruned_is_written(file, tmp_path):
    path, events = file
    run("convert", path, tmp_path / "store")
    meta = {"checkpoint_fingerprint": "a", "store_fingerprint": "b", "store": str(tmp_path / "store")}
    with ResultWriter(tmp_path / "results", "all", meta=meta) as writer:
        for event in events:
            labels = torch.where(torch.arange(event.num_points) % 3 == 1, -1, 0)
            score = torch.where(labels < 0, -1.0, 2.0)
            writer.write(Result(event_id=event.event_id, point_id=event.point_id, labels=labels, point_score=score))
    assert "6 tracksters written" in run("pruned", tmp_path / "results", tmp_path / "out.root")
    for event, before in zip(read_pruning(tmp_path / "out.root"), events, strict=True):
        keep = torch.arange(before.num_points) % 3 != 1
        assert event.point_id.tolist() == before.point_id[keep].tolist()
        assert is_rooted_tree(event.edge_index, int(keep.sum()))
    run("pruned", tmp_path / "results", tmp_path / "all.json", "--all-layer-clusters", "--split", "all")
    back = list(read_pruning(tmp_path / "all.json"))
    assert [event.num_points for event in back] == [event.num_points for event in events]
    assert {round(float(value), 4) for event in back for value in event.x[:, -1]} == {0.7311, 0.1192}
    run("pruned", tmp_path / "results", tmp_path / "kept", "--events", tmp_path / "store")
    assert len(EventStore(tmp_path / "kept")) == 6
    with EventWriter(tmp_path / "other", provenance={}) as other:
        other.write(toy_trackster(2, 77))
    assert run_main(["data", "pruned", str(tmp_path / "results"), "o.root", "--events", str(tmp_path / "other")]) == 2


def test_mistakes_are_one_line(file, tmp_path, capsys):
    path, _ = file
    for arguments, message in (
        (["--edges-tree", "Links"], "no tree 'Links'; it holds Edges;1, Tracksters;1"),
        (["--branch", "id"], "NAME=NAME_IN_FILE was wanted"),
        (["--branch", "idd=x"], "Did you mean 'id'?"),
        (["--layout", "A"], "no folder ticlDumper"),
    ):
        form = "ticl" if "A" in arguments else "pruning"
        assert run_main(["data", "convert", str(path), str(tmp_path / "s"), "--format", form, *arguments]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert error.count("\n") == 0
    broken = as_event([[0.0] * 9], [], [0.5], layer=[1], event_id=0)
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        writer.write(broken)
    assert run_main(["data", "convert", str(tmp_path / "store"), str(tmp_path / "b.root"), "--to", "pruning"]) == 2
    assert "something else than 0 and 1" in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.root", "store"]
