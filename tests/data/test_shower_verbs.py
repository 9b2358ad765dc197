"""``hitloom data`` on 2D clusters: convert both ways, split by slice, inspect."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hitloom.cli.main import build_app
from hitloom.cli.main import run as run_main
from hitloom.data.shower_truth import similarity_target
from hitloom.data.shower_write import write_pandora
from hitloom.data.splits import SPLITS, divide
from hitloom.data.store import EventStore
from shower_toy import toy_view


def run(*arguments) -> str:
    found = CliRunner().invoke(build_app(), ["data", *map(str, arguments)])
    assert found.exit_code == 0, (found.output, found.exception)
    return found.stdout


@pytest.fixture(scope="module")
def root_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("root") / "clusters.root"
    write_pandora([toy_view(4 + view, slice_, view=view) for slice_ in range(12) for view in (4, 5, 6)], path)
    return path


def test_a_root_file_becomes_a_store_and_a_store_files_of_both_kinds(root_file, tmp_path):
    """The format is recognised everywhere; folders train, val and test are the split of the store that is made."""
    assert "36 events written" in run("convert", root_file, tmp_path / "store")
    store = EventStore(tmp_path / "store")
    assert len(store) == 36
    assert store.provenance["converted_from"] == "pandora"
    assert store.provenance["detector"] == "dune-fd-hd"
    for kind, made in (("pandora", "root"), ("pandora-pt", "pt")):
        run("convert", tmp_path / "store", tmp_path / made, "--to", kind)
        assert {path.name for path in (tmp_path / made).iterdir()} == set(SPLITS)
        run("convert", tmp_path / made, tmp_path / f"from-{made}")
        again = EventStore(tmp_path / f"from-{made}")
        for split in SPLITS:
            ids = sorted(store.event_ids[store.indices(split)].tolist())
            assert sorted(again.event_ids[again.indices(split)].tolist()) == ids
        rows = {int(event_id): row for row, event_id in enumerate(again.event_ids)}
        for event in store:
            other = again[rows[int(event.event_id)]]
            assert float(other.energy.sum()) == pytest.approx(float(event.energy.sum()), rel=1e-5)
            assert float(similarity_target(other).sum()) == pytest.approx(
                float(similarity_target(event).sum()), rel=1e-5
            )


def test_views_apart_a_sample_and_tensor_files_from_root(root_file, tmp_path):
    assert "5 events written" in run("convert", root_file, tmp_path / "w", "--views", "W", "--sample", 5)
    assert set(EventStore(tmp_path / "w").event_ids % 10) == {6}
    run("convert", root_file, tmp_path / "pt", "--to", "pandora-pt", "--limit", 2, "--form", "list", "--preset", 7)
    assert sorted(path.name for path in (tmp_path / "pt" / "all").iterdir()) == sorted(
        f"{slice_}_{view}.pt" for slice_ in (0, 1) for view in "UVW"
    )
    run("convert", tmp_path / "pt", tmp_path / "store", "--preset", 7)
    assert "edge_y" in EventStore(tmp_path / "store").fields
    assert "median_clusters" in run("inspect", tmp_path / "store")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--views", "UX"], "views 'UX': letters of U, V and W were wanted"),
        (["--preset", "12", "--to", "pandora-pt"], "unknown preset 12"),
        (["--clusters-tree", "other"], "no tree 'other'"),
        (["--balance-events"], "branch 'mc_is_from_beam' is missing"),
        (["--detector", "dune-fd"], "detector 'dune-fd' is not in the table"),
        (["--detector", "sbnd"], "that of detector 'sbnd' is"),
    ],
)
def test_mistakes_end_with_one_line_and_code_2(root_file, tmp_path, capsys, options, message):
    place = str(tmp_path / "store")
    assert run_main(["data", "convert", str(root_file), place, "--format", "pandora", *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_views_of_a_slice_are_never_in_different_splits(root_file, tmp_path):
    run("convert", root_file, tmp_path / "store")
    for plan in ((), ("--counts", 10, 10, 9), ("--fractions", 0.5, 0.3, 0.2, "--seed", 3)):
        if plan:
            run("split", tmp_path / "store", *plan)
        store = EventStore(tmp_path / "store")
        slices = [set((store.event_ids[store.indices(split)] // 10).tolist()) for split in SPLITS]
        assert not slices[0] & slices[1]
        assert not slices[2] & (slices[0] | slices[1])
        assert all(slices)


def test_groups_are_divided_as_their_numbers_are():
    ids = np.arange(3000)
    whole = divide(ids // 10 * 10 // 10, seed=4)
    assert (divide(ids, seed=4, group=10) == whole).all()
    counted = divide(ids, counts=(1000, 500, 250), seed=1, group=10)
    assert [int((counted == name).sum()) for name in SPLITS] == [1000, 500, 250]
    assert all(len(set(counted[ids // 10 == number])) == 1 for number in range(0, 300, 17))
    assert set(divide(np.arange(30), counts=(10, 5, 5), group=10)) == {"train", "val", ""}


def test_inspect_says_what_each_view_is_like(root_file, tmp_path):
    run("convert", root_file, tmp_path / "store")
    record = json.loads(run("inspect", tmp_path / "store", "--json"))["showers"]
    assert {view: record[view]["views"] for view in "UVW"} == {"U": 12, "V": 12, "W": 12}
    assert {view: record[view]["median_clusters"] for view in "UVW"} == {"U": 8, "V": 9, "W": 10}
    assert "median_hits: U" in run("inspect", tmp_path / "store")
