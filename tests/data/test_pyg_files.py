"""EggNet and acorn files: both dialects, units, ids, safety, splits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from data_toy import toy_event
from torch_geometric.data import Data

from hitloom.data.pyg_files import FOLDERS, find_pyg, load_safely, read_pyg, read_pyg_results, write_pyg
from hitloom.errors import DataError
from hitloom.event import Event


def prefixed(**changes):
    """Two particles on five hits, one of them noise; ids that a float would merge."""
    big = 2**53
    entries = {
        "hit_id": torch.tensor([0, 1, 2, 3, 4]),
        "hit_particle_id": torch.tensor([big, big + 1, 0, big, big + 1]),
        "hit_particle_pt": torch.tensor([1500.0, 800.0, float("nan"), 1500.0, 800.00006]),
        "hit_particle_eta": torch.tensor([0.1, 0.2, float("nan"), 0.1, 0.2]),
        "hit_particle_nhits": torch.tensor([2, 3, -1, 2, 3]),
        "hit_r": torch.tensor([10.0, 20.0, 30.0, 40.0, 50.0]),
        "hit_phi": torch.tensor([0.0, 1.0, 2.0, 3.0, -3.0]),
        "hit_z": torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]),
        "hit_cluster_x_1": torch.arange(5.0),
        "hit_module_index": torch.tensor([7, 8, 9, 10, 11]),
        "track_edges": torch.tensor([[0, 1], [3, 4]]),
        "track_particle_pt": torch.tensor([1500.0, 800.0]),
        "event_id": ["000021007"],
        "config": [{"stage": "reader"}],
    }
    return entries | changes


def old(num_hits=4):
    """Without prefixes; what belongs to particles once per truth edge. Hit 2 is noise."""
    phi = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])[:num_hits]
    r = torch.tensor([10.0, 20.0, 30.0, 40.0, 50.0])[:num_hits]
    return {
        "hit_id": torch.arange(num_hits),
        "x": r * phi.cos(),
        "y": r * phi.sin(),
        "z": torch.arange(num_hits).float(),
        "r": r,
        "phi": phi,
        "region": torch.ones(num_hits, dtype=torch.int64),
        "module_id": torch.arange(num_hits),
        "track_edges": torch.tensor([[0, 1], [1, 3]]),
        "particle_id": torch.tensor([9 * 10**17, 9 * 10**17]),
        "pt": torch.tensor([2.0, 2.0]),
        "nhits": torch.tensor([3, 3]),
        "event_id": "12",
    }


def save(path, entries, container=Data.from_dict):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(container(entries), path)
    return path


def read(path, **options) -> Event:
    (event,) = read_pyg(path, **options)
    return event


class TestPrefixed:
    def test_everything_is_where_it_belongs(self, tmp_path):
        event = read(save(tmp_path / "event.pyg", prefixed()), unit="MeV")
        assert event.event_id == 21007
        assert event.feature_names == ["r", "phi", "z", "cluster_x_1"]
        assert torch.equal(event.columns(["r", "cluster_x_1"])[:, 0], prefixed()["hit_r"])
        np.testing.assert_allclose(torch.hypot(event.pos[:, 0], event.pos[:, 1]), prefixed()["hit_r"], rtol=1e-6)
        np.testing.assert_allclose(torch.atan2(event.pos[:, 1], event.pos[:, 0]), prefixed()["hit_phi"], rtol=1e-6)
        assert event.module.tolist() == [7, 8, 9, 10, 11]
        assert event.truth_edge_index.tolist() == [[0, 1], [3, 4]]
        assert event.provenance_dict()["config"] == [{"stage": "reader"}]

    def test_eggnet_defect_11_ids_stay_integers(self, tmp_path):
        event = read(save(tmp_path / "event.pyg", prefixed()))
        assert event.object_id.tolist() == [2**53, 2**53 + 1]
        assert event.object_index.tolist() == [0, 1, -1, 0, 1]
        floats = prefixed(hit_particle_id=prefixed()["hit_particle_id"].double())
        with pytest.raises(DataError, match="'particle_id' is torch.float64; integers were wanted"):
            read(save(tmp_path / "floats.pyg", floats))

    def test_eggnet_defect_13_a_particle_is_one_whatever_its_pt_rounds_to(self, tmp_path):
        """The two hits of the second particle carry 800.0 and 800.00006."""
        event = read(save(tmp_path / "event.pyg", prefixed()), unit="MeV")
        assert event.num_objects == 2
        np.testing.assert_allclose(event.object_pt, [1.5, 0.8], rtol=1e-6)
        assert event.object_num_points.tolist() == [2, 3]

    def test_trackml_defect_11_units_are_asked_for_and_never_guessed(self, tmp_path):
        path = save(tmp_path / "event.pyg", prefixed())
        assert read(path).object_pt[0] == 1500.0
        assert read(path, unit="MeV").object_pt[0] == 1.5
        assert read(path, unit="MeV").object_eta[0] == pytest.approx(0.1)
        with pytest.raises(DataError, match=r"unknown energy unit 'MEV'"):
            read(path, unit="MEV")

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"hit_id": None}, "'hit_id' .N,. is missing|positions are missing"),
            ({"hit_z": None}, "positions are missing"),
            ({"hit_r": torch.ones(3)}, "'hit_r' must have one value for each of the 5 hits"),
            ({"event_id": "seven"}, "event_id 'seven' is no whole number"),
            ({"track_edges": torch.tensor([[0, 1, 2]])}, r"track_edges has shape \(1, 3\)"),
            ({"track_edges": torch.tensor([[0], [9]])}, "holds 9"),
        ],
    )
    def test_broken_files(self, tmp_path, changes, match):
        entries = {key: value for key, value in prefixed(**changes).items() if value is not None}
        with pytest.raises(DataError, match=match):
            read(save(tmp_path / "event.pyg", entries))


class TestOldDialect:
    def test_particles_come_from_the_truth_edges(self, tmp_path):
        event = read(save(tmp_path / "event.pyg", old()))
        assert event.event_id == 12
        assert event.object_id.tolist() == [9 * 10**17]
        assert event.object_index.tolist() == [0, 0, -1, 0]
        assert event.object_pt.tolist() == [2.0]
        assert event.object_num_points.tolist() == [3]
        assert torch.equal(event.pos[:, 0], old()["x"])
        assert set(event.feature_names) == {"r", "phi", "z", "region"}

    def test_as_many_edges_as_hits(self, tmp_path):
        """N = T = 4: by its length alone, particle_id could be of either."""
        entries = old()
        entries["track_edges"] = torch.tensor([[0, 1, 0, 2], [1, 3, 3, 2]])
        entries |= {"particle_id": torch.tensor([5, 5, 5, 6]), "pt": torch.tensor([2.0, 2.0, 2.0, 1.0])}
        entries["nhits"] = torch.tensor([3, 3, 3, 1])
        event = read(save(tmp_path / "edges.pyg", entries))
        assert event.object_id.tolist() == [5, 6]
        assert event.object_index.tolist() == [0, 0, 1, 0]
        assert event.object_pt.tolist() == [2.0, 1.0]
        entries["particle_id"] = torch.tensor([5, 5, 0, 5])
        entries["track_edges"] = torch.tensor([[0, 1, 0, 1], [1, 3, 3, 0]])
        event = read(save(tmp_path / "hits.pyg", entries))
        assert event.object_index.tolist() == [0, 0, -1, 0]

    def test_numpy_arrays_and_plain_dictionaries(self, tmp_path):
        entries = {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in old().items()}
        first = read(save(tmp_path / "numpy.pyg", entries))
        second = read(save(tmp_path / "dict.pyg", old(), container=dict))
        assert torch.equal(first.pos, second.pos)
        assert torch.equal(first.object_index, second.object_index)


class Evil:
    """Writes a file when it is unpickled."""

    target = ""

    def __reduce__(self):
        return (open, (Evil.target, "w"))


class TestSafety:
    def test_code_in_a_file_is_refused_and_never_run(self, tmp_path):
        Evil.target = str(tmp_path / "evil")
        path = tmp_path / "event.pyg"
        torch.save(Data(hit_id=torch.arange(2), config=[Evil()]), path)
        with pytest.raises(DataError, match=r"holds an object of \w*\.?open, which could run code"):
            load_safely(path)
        path.write_bytes(pickle.dumps(Evil()))
        with pytest.raises(DataError, match=r"event\.pyg"):
            load_safely(path)
        assert not (tmp_path / "evil").exists()

    def test_damage(self, tmp_path):
        path = save(tmp_path / "event.pyg", prefixed())
        whole = path.read_bytes()
        for data in (whole[: len(whole) // 2], b"", b"no archive at all"):
            path.write_bytes(data)
            with pytest.raises(DataError, match=r"event\.pyg: (damaged|holds)"):
                load_safely(path)
        torch.save(torch.ones(3), path)
        with pytest.raises(DataError, match="holds Tensor"):
            load_safely(path)


def test_folders_are_splits_sorted_by_path(tmp_path):
    for number, place in enumerate(["trainset/b", "trainset/a/c", "valset/d", "testset/deep/er/e", "trainset/a/b"]):
        save(tmp_path / f"{place}.pyg", prefixed(event_id=str(number)))
    found = [(path.relative_to(tmp_path).as_posix(), split) for path, split in find_pyg(tmp_path)]
    assert found == [
        ("testset/deep/er/e.pyg", "test"),
        ("trainset/a/b.pyg", "train"),
        ("trainset/a/c.pyg", "train"),
        ("trainset/b.pyg", "train"),
        ("valset/d.pyg", "val"),
    ]
    assert [event.event_id for event in read_pyg(tmp_path, split="train")] == [4, 1, 0]
    assert [event.event_id for event in read_pyg(tmp_path, skip=1, limit=2)] == [4, 1]
    with pytest.raises(DataError, match=r"unknown split 'valset'"):
        read_pyg(tmp_path, split="valset")
    with pytest.raises(DataError, match=r"no \.pyg file"):
        read_pyg(tmp_path / "trainset" / "nothing")


def test_export_and_import_again(tmp_path):
    events = [toy_event(number) for number in (1, 2, 3)]
    counts = write_pyg(events, tmp_path / "out", split_of={1: "train", 2: "val", 3: "train"})
    assert counts == {"train": 2, "val": 1, "test": 0}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FOLDERS.values())
    for event, again in zip(events, sorted(read_pyg(tmp_path / "out"), key=lambda one: one.event_id), strict=True):
        keep = event.object_num_points > 0  # the format knows particles by their hits alone
        for name in ("object_id", "object_pt", "object_eta", "object_pdg", "object_num_points"):
            assert torch.equal(again[name], event[name][keep]), name
        for name in ("pos", "point_id", "volume", "layer", "module", "truth_edge_index", "object_index"):
            assert torch.equal(again[name], event[name]), name
        assert torch.equal(again.columns(event.feature_names), event.x)
    entries = load_safely(tmp_path / "out" / "trainset" / "event000000001.pyg")
    noise = entries["hit_particle_id"] == 0
    assert entries["hit_particle_pt"][noise].isnan().all()
    assert (entries["hit_particle_nhits"][noise] == -1).all()
    assert torch.equal(entries["track_particle_id"], entries["hit_particle_id"][entries["track_edges"][0]])


def test_export_leaves_nothing_of_a_failure(tmp_path):
    with pytest.raises(DataError, match="came twice"):
        write_pyg([toy_event(1), toy_event(1)], tmp_path / "out")
    with pytest.raises(DataError, match="no event to write"):
        write_pyg([toy_event(1)], tmp_path / "out", split_of={})
    assert list(tmp_path.iterdir()) == []
    write_pyg([toy_event(1)], tmp_path / "out")
    with pytest.raises(DataError, match="already exists"):
        write_pyg([toy_event(2)], tmp_path / "out")
    write_pyg([toy_event(2)], tmp_path / "out", overwrite=True)
    assert [event.event_id for event in read_pyg(tmp_path / "out")] == [2]


def test_results_of_the_reference(tmp_path):
    entries = prefixed(
        hit_label=torch.tensor([0, 1, -1, 0, 1]),
        hit_embedding=torch.ones(5, 24),
        hit_score=torch.zeros(5, 1),
        cluster=0.25,
    )
    save(tmp_path / "valset" / "event21007.pyg", entries)
    (result,) = read_pyg_results(tmp_path, split="val")
    assert result.event_id == 21007
    assert result.labels.tolist() == [0, 1, -1, 0, 1]
    assert result.embedding is not None
    assert result.embedding.shape == (5, 24)
    assert result.point_score is not None
    assert result.point_score.shape == (5,)
    assert result.timing == {"cluster": 0.25}
    event = read(tmp_path / "valset" / "event21007.pyg")
    assert event.feature_names == ["r", "phi", "z", "cluster_x_1"]
    save(tmp_path / "valset" / "event21008.pyg", prefixed(event_id="8"))
    with pytest.raises(DataError, match="no hit_label"):
        list(read_pyg_results(tmp_path))
