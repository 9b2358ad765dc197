"""``hitloom data``: convert, inspect, split."""

from __future__ import annotations

import json
import math

import pytest
from data_toy import same_event, toy_event
from typer.testing import CliRunner

from hitloom.cli.data import app
from hitloom.data.module_map import ModuleMap
from hitloom.data.pyg_files import write_pyg
from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import ConfigError, DataError


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def store(tmp_path):
    with EventWriter(tmp_path / "store", provenance={"seed": 1}) as writer:
        for number in range(10):
            writer.write(toy_event(number))
    return tmp_path / "store"


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("trackml-thinned", (5527, 829, 548, 468, 431, 56, "object_index")),
        ("trackml-full", (93_680, 17_470, 8915, 7699, 7007, 915, "object_num_points")),
    ],
)
def test_the_real_events_give_the_known_numbers(test_data, tmp_path, name, wanted):
    run("convert", "--format", "trackml", test_data / name, tmp_path / "store")
    record = json.loads(run("inspect", tmp_path / "store", "--json"))
    keys = ("points", "noise_points", "objects", "objects_with_points", "objects_with_3_points", "objects_pt_above_1")
    assert tuple(record[key] for key in keys) == wanted[:-1]
    assert record["counts_from"].startswith(wanted[-1])
    assert record["events"] == 1
    assert record["fields"]["pos"]["unit"] == "mm"
    assert record["provenance"]["converted_from"] == "trackml"
    assert set(keys) < set(record["definitions"])


def test_from_csv_to_store_and_back(trackml_folder, tmp_path):
    assert "1 events written" in run("convert", trackml_folder, tmp_path / "store")
    same_event(EventStore(tmp_path / "store")[0], toy_event())
    detectors = trackml_folder / "detectors.csv"
    run("convert", tmp_path / "store", tmp_path / "again.zip", "--to", "trackml", "--detectors", detectors)
    run("convert", tmp_path / "again.zip", tmp_path / "store", "--overwrite")
    same_event(EventStore(tmp_path / "store")[0], toy_event())


def test_splits_of_pyg_folders_are_kept(tmp_path, store):
    run("split", store, "--counts", 5, 3, 2, "--seed", 4)
    wanted = {
        split: sorted(EventStore(store).event_ids[EventStore(store).indices(split)])
        for split in ("train", "val", "test")
    }
    run("convert", store, tmp_path / "pyg", "--to", "pyg")
    run("convert", tmp_path / "pyg", tmp_path / "back", "--format", "pyg")
    back = EventStore(tmp_path / "back")
    assert {split: sorted(back.event_ids[back.indices(split)]) for split in wanted} == wanted
    assert [len(ids) for ids in wanted.values()] == [5, 3, 2]


def test_inspect_for_people(store):
    text = run("inspect", store)
    assert "objects_pt_above_1" in text
    assert "GeV" in text
    assert "seed" in text


def test_inspect_without_objects(tmp_path):
    event = toy_event()
    for name in [key for key in event.to_dict() if key.startswith(("object_", "truth_", "point_weight"))]:
        del event[name]
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        writer.write(event)
    record = json.loads(run("inspect", tmp_path / "store", "--json"))
    assert record["points"] == event.num_points
    assert record["objects"] is None
    assert record["noise_points"] is None


def test_split_says_and_records(store):
    assert "train 5, val 3, test 1, unused 1" in run("split", store, "--counts", 5, 3, 1)
    text = run("split", store, "--fractions", 0.5, 0.25, 0.25, "--seed", 7)
    record = json.loads(run("inspect", store, "--json"))["splits"]
    assert record["rule"] == {"seed": 7, "fractions": [0.5, 0.25, 0.25]}
    assert f"train {record['train']}, val {record['val']}, test {record['test']}" in text
    for options in (["--fractions", 0.9, 0.9, 0.1], ["--fractions", 1, 0, 0, "--counts", 1, 1, 1]):
        with pytest.raises(DataError):
            run("split", store, *options)
    assert json.loads((store / "splits.json").read_text())["seed"] == 7


def test_three_events_fill_three_splits(tmp_path):
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        for number in range(3):
            writer.write(toy_event(number))
    for options in ([], ["--fractions", 0.9, 0.05, 0.05], ["--counts", 100, 10, 1]):
        assert "train 1, val 1, test 1" in run("split", tmp_path / "store", *options)


def test_mistakes(tmp_path, store, trackml_folder):
    with pytest.raises(DataError, match="already exists"):
        run("convert", trackml_folder, store)
    with pytest.raises(DataError, match="no such"):
        run("convert", tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(DataError, match="is store already"):
        run("convert", store, tmp_path / "out")
    with pytest.raises(DataError, match="unit"):
        write_pyg([toy_event()], tmp_path / "pyg")
        run("convert", tmp_path / "pyg", tmp_path / "out", "--unit", "kg")
    (trackml_folder / "event000000007-hits.csv").write_text("hit_id\n")
    with pytest.raises(DataError, match="column 'x' is missing"):
        run("convert", trackml_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_limits(tmp_path, store):
    run("convert", store, tmp_path / "csv", "--to", "trackml", "--skip", 2, "--limit", 3)
    run("convert", tmp_path / "csv", tmp_path / "some", "--limit", 2, "--subset", "barrel")
    assert EventStore(tmp_path / "some").event_ids.tolist() == [2, 3]


def test_a_module_map_from_a_store(store, tmp_path):
    text = run("module-map", store, tmp_path / "map.txt", "--split", "all", "--conditions", "{object_pt: [0.5, .inf]}")
    learned = ModuleMap.read(tmp_path / "map.txt")
    assert f"map.txt: {learned.num_rows} triplets" in text
    events = list(EventStore(store))
    assert learned.num_rows == ModuleMap.fit(events, conditions={"object_pt": [0.5, math.inf]}).num_rows
    with pytest.raises(DataError, match="already exists"):
        run("module-map", store, tmp_path / "map.txt")
    with pytest.raises(ConfigError, match="a mapping was wanted"):
        run("module-map", store, tmp_path / "other.txt", "--conditions", "[1, 2]")
    run("module-map", store, tmp_path / "map.txt", "--limit", "1", "--overwrite")
    assert ModuleMap.read(tmp_path / "map.txt").num_rows < learned.num_rows


def test_dialects_of_pyg_files(store, tmp_path):
    run("convert", store, tmp_path / "exa", "--to", "pyg", "--dialect", "exa")
    assert sorted(path.name for path in (tmp_path / "exa").iterdir()) == ["test", "train", "val"]
    run("convert", tmp_path / "exa", tmp_path / "again")

    def train(path):
        opened = EventStore(path)
        return {int(opened.event_ids[row]) for row in opened.indices("train")}

    assert train(tmp_path / "again") == train(store)
