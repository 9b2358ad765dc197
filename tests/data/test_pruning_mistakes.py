"""What is wrong with a file of tracksters is said in one line: file, tree, branch, entry, mend."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import uproot
from ticl_toy import rewritten, set_item

from hitloom.data.jagged import Jagged
from hitloom.data.pruning_files import count_tracksters, read_pruning
from hitloom.data.pruning_write import write_pruning
from hitloom.data.root_records import Column
from hitloom.errors import ConfigError, DataError
from pruning_toy import toy_trackster


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of three tracksters (3, 1 and 5 layer clusters) and the same in JSON."""
    folder = tmp_path_factory.mktemp("pruning")
    for suffix in ("root", "json"):
        write_pruning([toy_trackster(size, seed) for seed, size in enumerate((3, 1, 5))], folder / f"a.{suffix}")
    return folder / "a.root"


def refused(path, **options) -> str:
    """Return the message with which reading stops; it must be one line that names the file."""
    with pytest.raises(DataError) as caught:
        list(read_pruning(path, **options))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def changed_json(file, tmp_path, change):
    records = json.loads(file.with_suffix(".json").read_text())
    change(records)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(records))
    return path


@pytest.mark.parametrize(
    ("tree", "branch"), [("Tracksters", "id"), ("Tracksters", "isSeedCLUE3DLow"), ("Edges", "target")]
)
def test_a_branch_is_missing(file, tmp_path, tree, branch):
    path = rewritten(file, tmp_path / "a.root", lambda trees: trees[tree].pop(branch))
    assert f"tree '{tree};1': branch '{branch}' is missing" in refused(path)
    # under another name it is found
    path = rewritten(file, tmp_path / "b.root", lambda trees: trees[tree].update({"other": trees[tree].pop(branch)}))
    assert len(list(read_pruning(path, branches={branch: "other"}))) == 3


@pytest.mark.parametrize(("branch", "value"), [("label", 2), ("label", -1), ("isSeedCLUE3DHigh", 3), ("layer", -4)])
def test_a_label_or_flag_is_neither_0_nor_1(file, tmp_path, branch, value):
    path = rewritten(file, tmp_path / "a.root", lambda trees: set_item(trees["Tracksters"], branch, 5, value))
    message = refused(path)
    assert f"tree 'Tracksters;1': branch '{branch}': entry 2 holds {value}" in message
    assert "wanted" in message
    assert "mend" in message

    def change(records):
        records[2][branch][1] = value

    assert f"key '{branch}': entry 2 holds {value}" in refused(changed_json(file, tmp_path, change))


def test_half_a_label(file, tmp_path):
    def change(records):
        records[0]["label"][1] = 0.5

    assert "key 'label': entry 0 holds 0.5; 0 (keep) or 1 (prune) was wanted" in refused(
        changed_json(file, tmp_path, change)
    )


@pytest.mark.parametrize("branch", ["pos_x", "energy", "time", "phi"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_is_not_finite(file, tmp_path, branch, value):
    path = rewritten(file, tmp_path / "a.root", lambda trees: set_item(trees["Tracksters"], branch, 3, value))
    assert f"tree 'Tracksters;1': branch '{branch}': entry 1 holds {value}" in refused(path, chunk_size=2)

    def change(records):
        records[1][branch][0] = value

    assert f"key '{branch}': entry 1 holds {value}" in refused(changed_json(file, tmp_path, change))


@pytest.mark.parametrize("tree", ["Tracksters", "Edges"])
def test_pruning_defect_17_trees_out_of_step(file, tmp_path, tree):
    def shorter(trees):
        for name, (column, lists) in trees[tree].items():
            if column.depth == 0:
                trees[tree][name] = column, Jagged(lists.values[:2])
            else:
                trees[tree][name] = column, Jagged.of_lists([lists.entry(row) for row in range(2)])

    path = rewritten(file, tmp_path / "a.root", shorter)
    numbers = (2, 3) if tree == "Edges" else (3, 2)
    message = refused(path)
    assert f"tree 'Edges;1' has {numbers[0]} entries, but 'Tracksters;1' has {numbers[1]}" in message
    assert "entry i of both must be the same trackster" in message
    with pytest.raises(DataError, match="entries, but"):
        count_tracksters(path)


@pytest.mark.parametrize(("tree", "branch"), [("Tracksters", "eta"), ("Tracksters", "label"), ("Edges", "target")])
def test_pruning_defect_17_branches_of_different_length(file, tmp_path, tree, branch):
    def shorter(trees):
        column, lists = trees[tree][branch]
        counts = lists.counts[0].copy()
        counts[2] -= 1
        trees[tree][branch] = column, Jagged(lists.values[:-1], (counts,))

    path = rewritten(file, tmp_path / "a.root", shorter)
    first = "id" if tree == "Tracksters" else "origin"
    message = refused(path, chunk_size=2)
    assert f"tree '{tree};1': branch '{branch}': entry 2 holds" in message
    assert f"but '{first}' has" in message


def test_a_trackster_without_layer_clusters(file, tmp_path):
    def emptied(trees):
        for table in trees.values():
            for name, (column, lists) in table.items():
                if column.depth:
                    rows = [lists.entry(row)[: 0 if row == 1 else None] for row in range(3)]
                    table[name] = column, Jagged.of_lists(rows)

    path = rewritten(file, tmp_path / "a.root", emptied)
    assert "tree 'Tracksters;1': branch 'id': entry 1 holds no layer cluster; mend:" in refused(path)
    assert [event.event_id for event in read_pruning(path, drop_empty=True)] == [0, 2]

    def change(records):
        records[1] = {key: 7 if key == "event" else [] for key in records[1]}

    path = changed_json(file, tmp_path, change)
    assert "key 'id': entry 1 holds no layer cluster" in refused(path)
    assert [event.num_points for event in read_pruning(path, drop_empty=True)] == [3, 5]


def test_an_identifier_twice_in_a_trackster(file, tmp_path):
    path = rewritten(file, tmp_path / "a.root", lambda trees: set_item(trees["Tracksters"], "id", 6, 1000))
    message = refused(path)
    assert "tree 'Tracksters;1': branch 'id': entry 2 holds 1000 more than once" in message
    assert "mend" in message


def test_a_score_that_is_no_probability(file, tmp_path):
    def change(records):
        for record in records:
            record["prune_score"] = [0.5] * len(record["id"])
        records[2]["prune_score"][0] = 1.5

    assert "key 'prune_score': entry 2 holds 1.5; a probability was wanted" in refused(
        changed_json(file, tmp_path, change)
    )


def test_identifiers_as_fractions(file, tmp_path):
    def fractions(trees):
        trees["Edges"]["origin"] = Column("float", 1), trees["Edges"]["origin"][1]

    path = rewritten(file, tmp_path / "a.root", fractions)
    assert "tree 'Edges;1': branch 'origin': holds float32, but integers were wanted" in refused(path)


def test_a_branch_is_not_nested(file, tmp_path):
    def flat(trees):
        trees["Tracksters"]["energy"] = Column("float"), Jagged(np.zeros(3))

    path = rewritten(file, tmp_path / "a.root", flat)
    assert "branch 'energy': lists nested 0 deep, but 1 deep was wanted" in refused(path)


def test_files_that_are_no_whole_root_files(file, tmp_path):
    whole = file.read_bytes()
    cut = tmp_path / "cut.root"
    for share in (0.001, 0.3, 0.9, 0.999):
        cut.write_bytes(whole[: int(len(whole) * share)])
        assert "mend:" in refused(cut)
    text = tmp_path / "text.root"
    text.write_text("no ROOT file at all")
    assert "not a whole ROOT file" in refused(text)
    (tmp_path / "empty.root").touch()
    assert "not a whole ROOT file" in refused(tmp_path / "empty.root")


def test_a_damaged_basket_is_named(file, tmp_path):
    with uproot.open(file) as opened:
        place = int(opened["Tracksters"]["eta"].member("fBasketSeek")[0])
        size = int(opened["Tracksters"]["eta"].member("fBasketBytes")[0])
    damaged = bytearray(file.read_bytes())
    damaged[place + 80 : place + size] = bytes(size - 80)
    path = tmp_path / "a.root"
    path.write_bytes(damaged)
    assert "tree 'Tracksters;1': branch 'eta' cannot be read" in refused(path)


def test_a_tree_that_is_not_there(file, tmp_path):
    message = refused(file, edges="Links")
    assert "no tree 'Links'; it holds Edges;1, Tracksters;1; mend: name one with --edges-tree" in message
    with uproot.recreate(tmp_path / "other.root"):
        pass
    assert "no tree 'Tracksters;1'; it holds no tree" in refused(tmp_path / "other.root")
    with pytest.raises(DataError, match="no such file"):
        read_pruning(tmp_path / "nothing.root")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"no \*\.json file"):
        read_pruning(tmp_path / "folder")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "rot"}, "Did you mean 'root'"),
        ({"majority": "count_"}, "Did you mean 'count'"),
        ({"all_noise": "x"}, "unknown all_noise 'x'"),
        ({"branches": {"simTst": "x"}}, "Did you mean 'simTst_idx'"),
    ],
)
def test_options_that_do_not_exist(file, options, message):
    with pytest.raises(DataError, match=message):
        read_pruning(file, **options)


def test_an_unknown_geometry(file, tmp_path):
    write_pruning([toy_trackster(2)], tmp_path / "a.root", extras=False)
    with pytest.raises(ConfigError, match="geometry 'hgcal' is unknown"):
        list(read_pruning(tmp_path / "a.root", geometry="hgcal"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda records: records[1].pop("eta"), "key 'eta': entry 1 is missing"),
        (lambda records: records[1].pop("label"), "key 'label': entry 1 is missing"),
        (lambda records: records[2]["phi"].pop(), "key 'phi': entry 2 holds 4 items, but 'id' has 5"),
        (lambda records: records[2].update(phi="x"), "key 'phi': entry 2: a list of numbers was wanted"),
        (lambda records: records[2].update(time=[None] * 5), "key 'time': entry 2: a list of numbers was wanted"),
        (lambda records: records[0].update(id=[1.5, 2, 3]), "key 'id': holds float64, but integers were wanted"),
        (lambda records: records[0].update(id=[2**70, 2, 3]), "key 'id': holds object, but integers were wanted"),
        (lambda records: records[0].update(parents=[[], [1000]]), "key 'parents': entry 0: a list of identifiers for"),
        (lambda records: records[0].update(parents=[[], 1000, []]), "key 'parents': entry 0: a list of identifiers"),
        (lambda records: records.insert(1, [1]), "entry 1 is list, but an object with lists was wanted"),
    ],
)
def test_json_that_is_not_as_it_should_be(file, tmp_path, change, message):
    assert message in refused(changed_json(file, tmp_path, change))


def test_text_that_is_no_json(file, tmp_path):
    path = tmp_path / "a.json"
    for text, message in (
        (file.with_suffix(".json").read_text()[:-200], "not a whole JSON file"),
        ('{"id": [1]}', "holds dict, but a list of tracksters was wanted"),
        ("", "not a whole JSON file"),
    ):
        path.write_text(text)
        assert message in refused(path)
    path.write_text("[]")
    assert list(read_pruning(path)) == []


def test_damaged_bytes_are_refused_in_one_line_or_do_no_harm(file, tmp_path):
    whole = file.read_bytes()
    rng = np.random.default_rng(5)
    messages = []
    for place in rng.integers(0, len(whole), 30):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path = tmp_path / "a.root"
        path.write_bytes(damaged)
        try:
            list(read_pruning(path))
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 5
    assert all(message.startswith(str(path)) and "\n" not in message for message in messages)
