"""ROOT files of 2D clusters: what is written is read again, files of others are read, mistakes are named."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Column
from hitloom.data.root_trees import RootTreeWriter
from hitloom.data.shower_convert import PandoraOptions, open_root
from hitloom.data.shower_files import open_pandora, read_pandora
from hitloom.data.shower_layout import shower_event_id
from hitloom.data.shower_write import PandoraWriter, write_pandora
from hitloom.errors import DataError
from hitloom.event import Event
from shower_toy import PITCH, SCALES, toy_view


def slices(numbers, sizes=(5, 3, 7), **options) -> list[Event]:
    """Views U, V and W of some slices."""
    return [
        toy_view(size, number, view=view, **options)
        for number in numbers
        for view, size in zip((4, 5, 6), sizes, strict=True)
    ]


def same(one: Event, other: Event, *, but: tuple[str, ...] = ()) -> None:
    first, second = one.to_dict(), other.to_dict()
    assert first.keys() == second.keys()
    for name in first.keys() - set(but):
        value = first[name]
        assert torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name], name


def from_simulation(views: list[Event]) -> list[Event]:
    """The same views with what only the simulation knows, the same for a particle in all views of a slice."""
    for view in views:
        rng = np.random.default_rng(view.event_id // 10)
        known = torch.tensor(rng.normal(size=(10, 8)), dtype=torch.float32)[view.object_id]
        view.object_energy, view.object_momentum, view.object_vertex = known[:, 0], known[:, 1:4], known[:, 4:7]
        view.object_parent, view.object_is_signal = view.object_id - 1, known[:, 7] > 0
    return views


@given(
    st.lists(st.tuples(*[st.integers(1, 8)] * 3), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(1, 3),
)
@settings(max_examples=6, deadline=None)
def test_what_was_read_is_read_again_bit_by_bit(tmp_path_factory, sizes, gaps, volumes, simulated, chunk_size):
    folder = tmp_path_factory.mktemp("round")
    views = []
    for number, counts in enumerate(sizes):
        views += slices([number], counts, gaps=gaps, volumes=volumes)
    views = from_simulation(views) if simulated else views
    assert write_pandora(views, folder / "a.root", chunk_size=chunk_size) == len(views)
    first = list(read_pandora(folder / "a.root", chunk_size=chunk_size))
    write_pandora(first, folder / "b.root")
    second = list(read_pandora(folder / "b.root"))
    for toy, one, other in zip(views, first, second, strict=True):
        same(one.validate(), other, but=("source",))
        same(one, toy, but=("source", "point_id", "part_id", "pos", "energy", "part_energy", "share_fraction"))
        for name in ("pos", "energy", "part_energy", "share_fraction"):
            torch.testing.assert_close(one[name], toy[name])


def test_the_branches_and_their_types_are_those_of_the_layout(tmp_path):
    views = from_simulation(slices([3], volumes=True))
    write_pandora(views, tmp_path / "a.root", extras=False)
    with uproot.open(tmp_path / "a.root") as file:
        assert {name.split(";")[0] for name in file} == {"clusters", "clusters_view_data", "clusters_event_data"}
        types = {name: branch.typename for name, branch in file["clusters"].items()}
        integers = {"cluster_id", "cluster_view", "mc_id", "mc_pdg", "mc_is_from_beam", "hit_cluster_id", "hit_mc_id"}
        integers |= {"hit_tpc_vol_id", "hit_daughter_vol_id"}
        floats = {"hit_x_rel_pos", "hit_z_rel_pos", "hit_r_rel_pos", "hit_ctheta_rel_pos", "hit_stheta_rel_pos"}
        floats |= {"hit_x_width", "hit_x_gap_dist", "hit_energy"}
        assert types == dict.fromkeys(integers, "std::vector<int32_t>") | dict.fromkeys(floats, "std::vector<float>")
        entry = file["clusters"].arrays(library="np")
        assert entry["cluster_id"][0].tolist() == list(range(15))
        assert entry["cluster_view"][0].tolist() == [4] * 5 + [5] * 3 + [6] * 7
        assert (entry["mc_id"][0][0], entry["mc_pdg"][0][0]) == (-1, 0)
        x, z, r = (entry[f"hit_{name}_rel_pos"][0] for name in "xzr")
        np.testing.assert_allclose(r, np.hypot(x, z), rtol=1e-6)
        np.testing.assert_allclose(entry["hit_stheta_rel_pos"][0], z / r, rtol=1e-6)
        constants = file["clusters_view_data"].arrays(library="np")
        assert dict(zip(constants["view"].tolist(), constants["pitch"].tolist(), strict=True)) == pytest.approx(PITCH)
        scales = file["clusters_event_data"].arrays(library="np")
        assert {name: float(scales[f"scalefactor_{name}"][0]) for name in SCALES} == pytest.approx(SCALES)


def test_hits_of_clusters_stand_together_whatever_their_order_in_the_file(tmp_path):
    views = slices([1])
    write_pandora(views, tmp_path / "a.root")
    order = np.random.default_rng(0).permutation(sum(view.num_parts for view in views))
    change(tmp_path / "a.root", lambda name, values: values[order] if name.startswith("hit_") else values)
    for view, toy in zip(read_pandora(tmp_path / "a.root"), views, strict=True):
        assert bool((view.part_point_index.diff() >= 0).all())
        assert sorted(view.part_x.tolist()) == sorted(toy.part_x.tolist())
        torch.testing.assert_close(view.pos, toy.pos)


def test_old_files_without_volumes_beam_and_scales_are_read(tmp_path):
    views = slices([0])
    for view in views:
        view.provenance = json.dumps({"detector": "dune-fd-hd"})
    write_pandora(views, tmp_path / "a.root", extras=False)
    found = list(read_pandora(tmp_path / "a.root", detector="dune-fd-hd"))
    assert found[0].provenance_dict()["scales"] == SCALES
    assert "object_is_signal" not in found[0]
    assert found[0].part_feature_names == ["x", "z", "x_width", "x_gap", "pitch", "energy"]


def test_a_detector_without_gaps_has_no_such_column(tmp_path):
    """The file holds the largest float for every hit; no such number reaches the columns."""
    write_pandora(slices([0], gaps=False), tmp_path / "a.root")
    with uproot.open(tmp_path / "a.root") as file:
        assert float(file["clusters/hit_x_gap_dist"].array()[0][0]) > 1e38
    for view in read_pandora(tmp_path / "a.root"):
        assert "x_gap" not in view.part_feature_names
        assert float(view.part_x.abs().max()) < 1e4


def test_views_are_chosen_and_rows_skipped(tmp_path):
    write_pandora(slices(range(6)), tmp_path / "a.root")
    ids = [view.event_id for view in read_pandora(tmp_path / "a.root", views=(6, 4), skip=2, limit=2)]
    assert ids == [shower_event_id(number, view) for number in (2, 3) for view in (4, 6)]
    with pytest.raises(DataError, match="unknown view 3; valid views: 4"):
        open_pandora(tmp_path / "a.root", views=(3,))


def test_an_empty_view_is_left_out_and_one_cluster_is_a_view(tmp_path, caplog):
    whole = slices([0, 1], (1, 2, 3))
    views = [whole[0], whole[2], *whole[3:]]
    views[3] = views[3].select_points(torch.zeros(2, dtype=torch.bool))
    write_pandora(views, tmp_path / "a.root")
    with caplog.at_level(logging.INFO, logger="hitloom"):
        found = list(read_pandora(tmp_path / "a.root"))
    assert [view.event_id for view in found] == [4, 6, 14, 16]
    assert found[0].num_points == 1
    assert "2 of 6 views hold no cluster and are left out" in caplog.text


def test_zero_energy_is_read(tmp_path):
    views = slices([0])
    write_pandora(views, tmp_path / "a.root")
    change(tmp_path / "a.root", lambda name, values: 0 * values if name == "hit_energy" else values)
    for view in read_pandora(tmp_path / "a.root"):
        assert float(view.energy.sum()) == 0
        hits = view.part_pos[view.part_point_index == 0]
        torch.testing.assert_close(view.pos[0], hits.mean(0))


def concatenated(paths, target, **changes) -> None:
    """Put files together as 'hadd' does: the entries of all, and the rows of the small trees of all."""
    trees: dict[str, dict[str, Column]] = {}
    rows: dict[str, list[dict[str, Jagged]]] = {}
    for path in paths:
        with uproot.open(path) as file:
            for name, tree in file.items(recursive=False):
                name = name.split(";")[0]
                arrays = {key: Jagged.of_awkward(tree[key].array()) for key in tree.keys()}  # noqa: SIM118
                trees[name] = {
                    key: Column("float" if one.values.dtype.kind == "f" else "int", one.depth)
                    for key, one in arrays.items()
                }
                rows.setdefault(name, []).append(arrays)
    for name, value in changes.items():
        last = rows["clusters_view_data" if name == "pitch" else "clusters_event_data"][-1]
        last[name] = Jagged(value * last[name].values)
    with RootTreeWriter(target, trees) as writer:
        for name, parts in rows.items():
            for part in parts:
                writer.extend(name, part)


def test_files_put_together_repeat_their_constants_and_are_read(tmp_path):
    write_pandora(slices([0, 1]), tmp_path / "a.root", extras=False)
    write_pandora(slices([2]), tmp_path / "b.root", extras=False)
    concatenated([tmp_path / "a.root", tmp_path / "b.root"], tmp_path / "all.root")
    with uproot.open(tmp_path / "all.root") as file:
        assert file["clusters_view_data"].num_entries == 6
    found = list(read_pandora(tmp_path / "all.root"))
    alone = [*read_pandora(tmp_path / "a.root"), *read_pandora(tmp_path / "b.root", first_slice=2)]
    for one, other in zip(found, alone, strict=True):
        same(one, other, but=("source",))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("pitch", r"tree 'clusters_view_data': branch 'pitch' of view U holds 0.4667 and 0.48"),
        ("scalefactor_cartesian_x", r"tree 'clusters_event_data': branch 'scalefactor_cartesian_x' holds"),
    ],
)
def test_constants_that_contradict_each_other_are_refused(tmp_path, field, message):
    write_pandora(slices([0]), tmp_path / "a.root", extras=False)
    concatenated([tmp_path / "a.root"] * 2, tmp_path / "all.root", **{field: 1.04})
    with pytest.raises(DataError, match=message):
        open_pandora(tmp_path / "all.root")


def test_constants_of_another_detector_warn_or_are_refused(tmp_path, caplog):
    views = slices([0])
    write_pandora(views, tmp_path / "a.root")
    with pytest.raises(DataError, match=r"a.root: .* that of detector 'microboone' is .*mend: name the detector"):
        open_pandora(tmp_path / "a.root", detector="microboone")
    for view in views:
        view.provenance = json.dumps({"detector": None, "scales": {key: 1.01 * SCALES[key] for key in SCALES}})
    write_pandora(views, tmp_path / "b.root")
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        open_pandora(tmp_path / "b.root", detector="dune-fd-hd")
    assert "scale polar_r is" in caplog.text
    assert open_pandora(tmp_path / "b.root").files[0].constants.detector is None
    assert open_pandora(tmp_path / "a.root").files[0].constants.detector == "dune-fd-hd"


def change(path, changed, *, drop: str = "") -> None:
    """Write a file again with changed values of the first entry; without a branch where one is named."""
    with uproot.open(path) as file:
        tables = {
            name.split(";")[0]: {key: Jagged.of_awkward(tree[key].array()) for key in tree.keys()}  # noqa: SIM118
            for name, tree in file.items(recursive=False)
        }
    columns = tables["clusters"]
    columns.pop(drop, None)
    for name, one in columns.items():
        if one.depth:
            rows = [one.entry(row) for row in range(one.num_entries)]
            columns[name] = Jagged.of_lists([changed(name, rows[0]), *rows[1:]])
    trees = {
        tree: {
            name: Column("float" if one.values.dtype.kind == "f" else "int", one.depth) for name, one in table.items()
        }
        for tree, table in tables.items()
    }
    with RootTreeWriter(path, trees) as writer:
        for tree, table in tables.items():
            writer.extend(tree, table)


def first(name, value):
    """Change the first number of a branch."""

    def changed(branch, values):
        return np.append(value, values[1:]).astype(values.dtype) if branch == name else values

    return changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (first("cluster_view", 7), r"branch 'cluster_view': entry 0 holds 7, which is no wire view; wanted 4 \(U\)"),
        (first("cluster_id", 4), r"entry 0: branch 'cluster_id' holds 4 more than once"),
        (first("hit_cluster_id", 99), r"entry 0: branch 'hit_cluster_id' holds 99, which is none of the 15 clusters"),
        (lambda n, v: np.where(v == 3, 2, v) if n == "hit_cluster_id" else v, r"entry 0: cluster 3 has no hit; mend"),
        (first("hit_mc_id", 77), r"entry 0: branch 'hit_mc_id' holds 77, which is none of the 3 particles"),
        (first("hit_x_rel_pos", np.nan), r"branch 'hit_x_rel_pos': entry 0 holds nan"),
        (lambda n, v: v[:0] if n == "hit_z_rel_pos" else v, r"branch 'hit_z_rel_pos': entry 0 holds 0 items"),
        (lambda n, v: v[:-1] if n == "mc_pdg" else v, r"branch 'mc_pdg': entry 0 holds 3 items, but 'mc_id' has 4"),
        (lambda n, v: v[1:] if n == "hit_energy" else v, r"branch 'hit_energy': entry 0 holds"),
        (
            lambda n, v: np.append(v[:-1], np.float32(3e38)) if n == "hit_x_gap_dist" else v,
            r"branch 'hit_x_gap_dist': entry 0 says that there is no drift gap, but other hits have one",
        ),
    ],
)
def test_impossible_entries_are_named(tmp_path, changed, message):
    path = tmp_path / "a.root"
    write_pandora(slices([0, 1]), path)
    change(path, changed)
    with pytest.raises(DataError, match=rf"a.root: tree 'clusters': {message}") as error:
        list(read_pandora(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("branch", ["cluster_view", "hit_x_rel_pos", "hit_energy", "hit_mc_id", "mc_pdg"])
def test_a_missing_branch_is_named(tmp_path, branch):
    path = tmp_path / "a.root"
    write_pandora(slices([0]), path)
    change(path, lambda name, values: values, drop=branch)
    with pytest.raises(DataError, match=rf"a.root: tree 'clusters': branch '{branch}' is missing"):
        open_pandora(path)


def test_files_without_any_truth_are_read_without_it(tmp_path):
    path = tmp_path / "a.root"
    write_pandora(slices([0]), path, extras=False)
    for branch in ("mc_id", "mc_pdg", "hit_mc_id"):
        change(path, lambda name, values: values, drop=branch)
    views = list(read_pandora(path))
    assert len(views) == 3
    assert not views[0].validate().has_truth


def test_a_damaged_file_and_other_files_are_refused(tmp_path):
    path = tmp_path / "a.root"
    write_pandora(slices([0]), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="cut off after|not a whole ROOT file"):
        open_pandora(path)
    with uproot.recreate(tmp_path / "b.root") as file:
        file.mktree("t", {"x": "int32"}).extend({"x": np.arange(3, dtype=np.int32)})
    with pytest.raises(DataError, match="b.root: no tree of clusters; it holds t; mend: name one with --clusters-tree"):
        open_pandora(tmp_path / "b.root")


def test_the_tree_is_found_when_there_is_one(tmp_path):
    write_pandora(slices([0]), tmp_path / "a.root", tree="showers")
    assert open_pandora(tmp_path / "a.root").files[0].tree == "showers"
    with pytest.raises(DataError, match="no tree 'cluster'; it holds showers, showers_event_data, showers_view_data"):
        open_pandora(tmp_path / "a.root", tree="cluster")


def test_the_writer_refuses_what_does_not_fit_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.root"
    first, second, other = slices([0])[0], slices([1])[0], slices([2], gaps=False)[0]
    with pytest.raises(DataError, match="slice 0 comes twice; the views of a slice must follow each other"):
        write_pandora([first, second, first], path)
    with pytest.raises(DataError, match="lacks 'x_gap', unlike the first event"):
        write_pandora([first, other], path)
    wide = slices([3])[0]
    wide.part_x[:, wide.part_feature_names.index("pitch")] = 0.5
    with pytest.raises(DataError, match="wire pitch 0.5 cm, but the view had 0.4667 before"):
        write_pandora([first, wide], path)
    with pytest.raises(DataError, match="is no wire view of 2D clusters"):
        write_pandora([Event(pos=torch.zeros(1, 3), event_id=1, source="toy")], path)
    with pytest.raises(DataError, match="no event to write"), PandoraWriter(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_beam_slices_are_balanced_and_samples_drawn_by_the_seed_alone(tmp_path):
    """Equal numbers of both kinds; the same seed takes the same slices, another seed others."""
    views = slices(range(20), (2, 2, 2), without_truth=0.0)
    for view in views:
        view.object_is_signal = torch.full((view.num_objects,), view.event_id // 10 < 6)
    write_pandora(views, tmp_path / "a.root")

    def taken(**options):
        events, number, _, _ = open_root(tmp_path / "a.root", PandoraOptions(**options), 0, None)
        ids = [event.event_id // 10 for event in events]
        assert len(ids) == number
        return sorted(set(ids))

    both = taken(balance=True)
    assert [number for number in both if number < 6] == list(range(6))
    assert len(both) == 12
    assert taken(sample=5) == taken(sample=5)
    assert len(taken(sample=5)) == 5
    assert taken(sample=5) != taken(sample=5, seed=1)
    write_pandora(slices([0]), tmp_path / "b.root", overwrite=True)
    with pytest.raises(DataError, match="branch 'mc_is_from_beam' is missing, so beam slices are not known"):
        open_root(tmp_path / "b.root", PandoraOptions(balance=True), 0, None)
