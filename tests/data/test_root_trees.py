"""Trees of std::vector branches: what is written is what uproot reads, with ROOT's own types."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Column
from hitloom.data.root_trees import RootTreeWriter
from hitloom.errors import DataError

COLUMNS = {
    "f": Column("float"),
    "n": Column("unsigned int"),
    "l": Column("Long64_t"),
    "fs": Column("float", 1),
    "is": Column("int", 1),
    "us": Column("unsigned int", 1),
    "ls": Column("Long64_t", 1),
    "fss": Column("float", 2),
    "iss": Column("int", 2),
    "uss": Column("unsigned int", 2),
    "lss": Column("Long64_t", 2),
}
LIMITS = {"float": (-(2**20), 2**20), "int": (-(2**31), 2**31 - 1), "unsigned int": (0, 2**32 - 1)}
LIMITS["Long64_t"] = (-(2**62), 2**62)


def values_for(column: Column):
    number = st.integers(*LIMITS[column.number])
    for _ in range(column.depth):
        number = st.lists(number, max_size=4)
    return number


def jagged(entries: list, column: Column) -> Jagged:
    dtype = np.float64 if column.number == "float" else np.int64
    if column.depth == 0:
        return Jagged(np.array(entries, dtype))
    if column.depth == 1:
        return Jagged.of_lists([np.array(one, dtype) for one in entries])
    return Jagged.of_nested(
        [
            (np.array([item for inner in one for item in inner], dtype), np.array([len(inner) for inner in one], int))
            for one in entries
        ]
    )


@settings(max_examples=10, deadline=None)
@given(data=st.data(), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_what_is_written_is_read(tmp_path_factory, data, sizes):
    path = tmp_path_factory.mktemp("root") / "a.root"
    rows = st.fixed_dictionaries({name: values_for(column) for name, column in COLUMNS.items()})
    chunks = [data.draw(st.lists(rows, min_size=size, max_size=size)) for size in sizes]
    with RootTreeWriter(path, {"d/sub/t": COLUMNS, "d/empty": COLUMNS, "top": COLUMNS}) as writer:
        for chunk in chunks:
            table = {name: jagged([row[name] for row in chunk], column) for name, column in COLUMNS.items()}
            writer.extend("d/sub/t", table)
            writer.extend("top", table)
    wanted = [row for chunk in chunks for row in chunk]
    with uproot.open(path) as file:
        for name in ("d/sub/t", "top"):
            assert file[name].arrays().tolist() == wanted
        assert file["d/empty"].num_entries == 0
        low, high = sorted((len(wanted) // 3, len(wanted)))
        assert file["top"].arrays(entry_start=low, entry_stop=high).tolist() == wanted[low:high]


def test_branches_have_the_types_of_root(tmp_path):
    with RootTreeWriter(tmp_path / "a.root", {"t": COLUMNS}):
        pass
    with uproot.open(tmp_path / "a.root") as file:
        assert file["t"].typenames() == {
            "f": "float",
            "n": "uint32_t",
            "l": "int64_t",
            "fs": "std::vector<float>",
            "is": "std::vector<int32_t>",
            "us": "std::vector<uint32_t>",
            "ls": "std::vector<int64_t>",
            "fss": "std::vector<std::vector<float>>",
            "iss": "std::vector<std::vector<int32_t>>",
            "uss": "std::vector<std::vector<uint32_t>>",
            "lss": "std::vector<std::vector<int64_t>>",
        }
        assert file["t"]["fss"].member("fClassName") == "vector<vector<float> >"
        assert {"TTree", "TBranch", "TLeafF"} <= set(file.file.streamers)  # for older versions of ROOT


def test_long_names_and_many_branches(tmp_path):
    names = [f"branch_{number}_" + "x" * 280 for number in range(120)]
    with RootTreeWriter(tmp_path / "a.root", {"d/t": dict.fromkeys(names, Column("int", 1))}) as writer:
        writer.extend("d/t", {name: Jagged.of_lists([np.array([place])]) for place, name in enumerate(names)})
    with uproot.open(tmp_path / "a.root") as file:
        arrays = file["d/t"].arrays()
        assert [arrays[name].tolist() for name in names] == [[[place]] for place in range(120)]


def test_texts(tmp_path):
    with RootTreeWriter(tmp_path / "a.root", {"d/t": {"f": Column("float")}}, texts={"d/note": "käse"}):
        pass
    with uproot.open(tmp_path / "a.root") as file:
        assert str(file["d/note"]) == "käse"


def test_wrong_columns_and_nothing_left(tmp_path):
    columns = {"a": Column("float"), "b": Column("float", 1)}
    one, lists = Jagged(np.zeros(1)), Jagged.of_lists([np.zeros(2)])
    for table, message in [
        ({"a": one}, "branch 'b': no values"),
        ({"a": one, "b": one}, "branch 'b': lists of depth 0"),
        ({"a": Jagged(np.zeros(3)), "b": lists}, "1 entries, but the others have 3"),
    ]:
        with pytest.raises(DataError, match=message), RootTreeWriter(tmp_path / "a.root", {"t": columns}) as writer:
            writer.extend("t", table)
        assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.root"
    path.write_text("old")
    with pytest.raises(RuntimeError), RootTreeWriter(path, {"t": {"a": Column("float")}}):
        raise RuntimeError
    assert path.read_text() == "old"


def test_entries_of_jagged_columns():
    array = ak.Array([[[1, 2], [3]], [], [[], [4]]])
    column = Jagged.of_awkward(array)
    assert column.depth == 2
    assert [column.entry(row).tolist() for row in range(3)] == [[1, 2, 3], [], [4]]
    assert [column.entry_counts(row).tolist() for row in range(3)] == [[2, 1], [], [0, 1]]
    assert [column.entry_of(item) for item in range(4)] == [0, 0, 0, 2]
