"""What is wrong with a TICL file is said in one line: file, tree, branch, entry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import uproot
from ticl_toy import rewritten, set_item, toy_file

from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Column
from hitloom.data.ticl_read import open_ticl, read_ticl
from hitloom.data.ticl_write import write_ticl
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import DataError
from trackster_toy import toy_trackster_event

GRAPH = "ticlDumper/GNNTraining"
TRACKSTERS = "ticlDumper/ticlTrackstersCLUE3DHigh"
CLUSTERS = "ticlDumper/clusters"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file with both layouts and its events."""
    path = tmp_path_factory.mktemp("ticl") / "histo.root"
    return path, toy_file(path, 3)


def refused(path, layout_name: str | None = None) -> str:
    """Return the message with which reading stops; it must be one line that names the file."""
    with pytest.raises(DataError) as caught:
        list(read_ticl(path, layout_name=layout_name))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("tree", "branch", "layout_name"),
    [
        (GRAPH, "node_time", "A"),
        (GRAPH, "edge_weight", "A"),
        (TRACKSTERS, "vertices_multiplicity", "B"),
        (CLUSTERS, "energy", "B"),
        ("ticlDumper/simtrackstersSC", "pdgID", "B"),
        ("ticlDumper/TICLGraph", "outer", "B"),
    ],
)
def test_a_branch_is_missing(file, tmp_path, tree, branch, layout_name):
    path = rewritten(file[0], tmp_path / "a.root", lambda trees: trees[tree].pop(branch))
    assert f"tree '{tree}': branch '{branch}' is missing" in refused(path, layout_name)


@pytest.mark.parametrize(("tree", "branch"), [(GRAPH, "edge_weight"), (TRACKSTERS, "vertices_indexes")])
def test_a_branch_is_nested_less(file, tmp_path, tree, branch):
    def flatter(trees):
        column, lists = trees[tree][branch]
        flat = Jagged.of_lists([lists.entry(row) for row in range(lists.num_entries)])
        trees[tree][branch] = Column(column.number, 1), flat

    path = rewritten(file[0], tmp_path / "a.root", flatter)
    message = refused(path, "A" if tree == GRAPH else "B")
    assert f"branch '{branch}': lists nested 1 deep, but 2 deep was wanted" in message


def test_a_branch_is_nested_more(file, tmp_path):
    def deeper(trees):
        lists = trees[GRAPH]["node_EV1"][1]
        ones = [(lists.entry(row), np.ones(lists.counts[0][row], np.int64)) for row in range(lists.num_entries)]
        trees[GRAPH]["node_EV1"] = Column("float", 2), Jagged.of_nested(ones)

    path = rewritten(file[0], tmp_path / "a.root", deeper)
    assert "branch 'node_EV1': lists nested 2 deep, but 1 deep was wanted" in refused(path, "A")


def test_indices_as_fractions(file, tmp_path):
    def fractions(trees):
        lists = trees[GRAPH]["node_match_idx"][1]
        trees[GRAPH]["node_match_idx"] = Column("float", 1), lists

    path = rewritten(file[0], tmp_path / "a.root", fractions)
    assert "branch 'node_match_idx': holds" in refused(path, "A")
    assert "integers were wanted" in refused(path, "A")


@pytest.mark.parametrize("tree", ["clusters", "associations", "TICLGraph", "simtrackstersSC", "hitloom"])
def test_trees_of_unequal_length(file, tmp_path, tree):
    def shorter(trees):
        table = trees[f"ticlDumper/{tree}"]
        for name, (column, lists) in table.items():
            if column.depth == 0:
                table[name] = column, Jagged(lists.values[:2])
            elif column.depth == 1:
                table[name] = column, Jagged.of_lists([lists.entry(row) for row in range(2)])
            else:
                table[name] = column, Jagged.of_nested([(lists.entry(r), lists.entry_counts(r)) for r in range(2)])

    path = rewritten(file[0], tmp_path / "a.root", shorter)
    assert f"tree 'ticlDumper/{tree}' has 2 entries, but '{TRACKSTERS}' has 3" in refused(path, "B")


@pytest.mark.parametrize(
    ("tree", "branch", "layout_name"),
    [(GRAPH, "node_raw_energy", "A"), (TRACKSTERS, "raw_energy", "B"), (CLUSTERS, "energy", "B")],
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_energy_is_not_a_number(file, tmp_path, tree, branch, layout_name, value):
    def broken(trees):
        first = int(trees[tree][branch][1].counts[0][0])
        set_item(trees[tree], branch, first + 3, value)

    path = rewritten(file[0], tmp_path / "a.root", broken)
    assert f"tree '{tree}': branch '{branch}': entry 1 holds {value}" in refused(path, layout_name)
    # what comes before it can be had
    if layout_name == "A":
        assert len(list(read_ticl(path, layout_name="A", limit=1))) == 1


def test_a_negative_energy_of_a_layer_cluster(file, tmp_path):
    path = rewritten(file[0], tmp_path / "a.root", lambda trees: set_item(trees[CLUSTERS], "energy", 4, -1.0))
    message = refused(path, "B")
    assert "entry 0" in message
    assert "'energy' of row 4 is -1" in message


@pytest.mark.parametrize(
    ("tree", "branch", "value", "layout_name"),
    [
        (GRAPH, "edgeIndex_out", 10_000, "A"),
        (GRAPH, "edgeIndex_in", 10_000, "A"),
        (GRAPH, "node_match_idx", 99, "A"),
        (GRAPH, "node_match_idx", -2, "A"),
        (TRACKSTERS, "vertices_indexes", 100_000, "B"),
        ("ticlDumper/simtrackstersSC", "vertices_indexes", 100_000, "B"),
        ("ticlDumper/TICLGraph", "outer", 10_000, "B"),
        ("ticlDumper/associations", "ticlTrackstersCLUE3DHigh_recoToSim_SC", 99, "B"),
    ],
)
def test_an_index_is_out_of_range(file, tmp_path, tree, branch, value, layout_name):
    path = rewritten(file[0], tmp_path / "a.root", lambda trees: set_item(trees[tree], branch, 0, value))
    message = refused(path, layout_name)
    assert branch in message
    assert tree.split("/")[1] in message
    assert f"holds {value}" in message
    assert "entry 0" in message


def test_branches_of_different_length(file, tmp_path):
    def shorter(trees):
        lists = trees[GRAPH]["node_EV2"][1]
        counts = lists.counts[0].copy()
        counts[2] -= 1
        trees[GRAPH]["node_EV2"] = Column("float", 1), Jagged(lists.values[:-1], (counts,))

    message = refused(rewritten(file[0], tmp_path / "a.root", shorter), "A")
    assert "branch 'node_EV2': entry 2 holds" in message


def test_edges_of_different_number(file, tmp_path):
    def shorter(trees):
        lists = trees[GRAPH]["edge_time"][1]
        inner = lists.counts[1].copy()
        row = int(np.flatnonzero(inner)[-1])
        inner[row] -= 1
        trees[GRAPH]["edge_time"] = Column("float", 2), Jagged(lists.values[:-1], (lists.counts[0], inner))

    message = refused(rewritten(file[0], tmp_path / "a.root", shorter), "A")
    assert "branch 'edge_time': entry 2 has other numbers of edges" in message


def test_a_multiplicity_of_zero(file, tmp_path):
    path = rewritten(
        file[0], tmp_path / "a.root", lambda trees: set_item(trees[TRACKSTERS], "vertices_multiplicity", 0, 0.0)
    )
    assert "'vertices_multiplicity' holds 0; more than 0 was wanted" in refused(path, "B")


def test_files_that_are_no_whole_root_files(file, tmp_path):
    whole = file[0].read_bytes()
    cut = tmp_path / "cut.root"
    for share in (0.001, 0.3, 0.6, 0.95, 0.999):
        cut.write_bytes(whole[: int(len(whole) * share)])
        assert "mend:" in refused(cut)
    text = tmp_path / "text.root"
    text.write_text("this is no ROOT file, whatever its name says")
    assert "not a whole ROOT file" in refused(text)
    empty = tmp_path / "empty.root"
    empty.write_bytes(b"")
    assert "not a whole ROOT file" in refused(empty)


def test_a_damaged_basket_is_named(file, tmp_path):
    with uproot.open(file[0]) as opened:
        place = int(opened[GRAPH]["edge_weight"].member("fBasketSeek")[0])
        size = int(opened[GRAPH]["edge_weight"].member("fBasketBytes")[0])
    damaged = bytearray(file[0].read_bytes())
    damaged[place + 90 : place + size] = bytes(size - 90)
    path = tmp_path / "a.root"
    path.write_bytes(damaged)
    assert f"tree '{GRAPH}': branch 'edge_weight' cannot be read" in refused(path, "A")


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_ticl(tmp_path / "nothing.root")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="no \\*.root file"):
        read_ticl(tmp_path / "folder")
    with uproot.recreate(tmp_path / "other.root") as other:
        other.mktree("events", {"x": "f4"})
    assert "no folder ticlDumper or ticlDumperGNN" in refused(tmp_path / "other.root")


def test_choices_that_a_file_does_not_have(file, tmp_path):
    write_ticl(file[1], tmp_path / "a.root", layouts=("A",))
    assert "tree 'ticlTrackstersCLUE3DHigh' of layout B is missing" in refused(tmp_path / "a.root", "B")
    with pytest.raises(DataError, match="layout A holds matches to SC alone; mend: layout B for truth CP"):
        open_ticl(tmp_path / "a.root", layout_name="A", truth="CP")
    with pytest.raises(DataError, match="unknown layout 'C'"):
        open_ticl(tmp_path / "a.root", layout_name="C")
    with pytest.raises(DataError, match="unknown truth 'sc'.* Did you mean|unknown truth 'sc'.*Valid: CP, SC"):
        open_ticl(tmp_path / "a.root", truth="sc")


def test_a_trackster_without_energy_and_a_column_of_zeros_are_read(tmp_path):
    """Both are data, not mistakes: the shares of a trackster without energy are 0, nothing is divided by it."""
    event = toy_trackster_event(5)
    one = int(torch.nonzero(event.object_index >= 0)[0, 0])
    event.x[one, NODE_FEATURES.index("raw_energy")] = 0.0
    event.energy[one] = 0.0
    event.x[:, NODE_FEATURES.index("muon_prob")] = 0.0
    for layout_name in ("A", "B"):
        path = tmp_path / f"{layout_name}.root"
        write_ticl([event], path, layouts=(layout_name,))
        back = next(read_ticl(path))
        assert back.energy[one] == 0
        assert torch.isfinite(back.share_fraction).all()
        assert (back.share_fraction[back.share_index[0] == one] == 0).all()
        assert (back.columns(["muon_prob"]) == 0).all()
        assert torch.isfinite(back.edge_y).all()


def test_what_cannot_be_written(file, tmp_path):
    event = file[1][0].clone()
    del event.part_pos
    with pytest.raises(DataError, match="field 'part_pos' is needed for layout B"):
        write_ticl([event], tmp_path / "a.root")
    del event.edge_y
    with pytest.raises(DataError, match="field 'edge_y' is needed for layout A"):
        write_ticl([event], tmp_path / "a.root", layouts=("A",))
    with pytest.raises(DataError, match="no event to write"):
        write_ticl([], tmp_path / "a.root")
    with pytest.raises(DataError, match="unknown layout"):
        write_ticl(file[1], tmp_path / "a.root", layouts=("C",))
    second = file[1][1].clone()
    del second.object_is_signal
    with pytest.raises(DataError, match="nothing for branch|is needed"):
        write_ticl([file[1][0], second], tmp_path / "a.root", layouts=("A",), extra=False)
    assert list(tmp_path.iterdir()) == []
    write_ticl(file[1], tmp_path / "a.root")
    with pytest.raises(DataError, match="already exists"):
        write_ticl(file[1], tmp_path / "a.root")
