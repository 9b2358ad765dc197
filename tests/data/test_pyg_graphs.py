"""Graphs with edges in the files of EggNet, acorn and Exa.TrkX, in every dialect."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from data_toy import toy_event
from torch_geometric.data import Data

from hitloom.data.convert import convert, guess_format
from hitloom.data.edge_labels import edge_truth, truth_edge_weights, truth_to_edge
from hitloom.data.pyg_files import load_safely, read_pyg, read_pyg_results, write_pyg
from hitloom.data.store import EventStore
from hitloom.data.truth_edges import redundant_split, truth_edges
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.ops.edge_features import EDGE_FEATURES, edge_features


def graph_event(event_id: int = 7, num_edges: int = 40) -> Event:
    """A toy event with half of its truth edges and random others."""
    event = toy_event(event_id)
    rng = np.random.default_rng(event_id)
    random = torch.from_numpy(rng.integers(0, event.num_points, (2, num_edges)))
    event.edge_index = torch.cat([event.truth_edge_index[:, ::2], random], dim=1)[:, :num_edges]
    event.edge_y = edge_truth(event.edge_index, event.truth_edge_index, event.num_points).float()
    event.edge_score = torch.from_numpy(rng.uniform(size=num_edges).astype(np.float32))
    event.edge_weight = torch.from_numpy(rng.uniform(size=num_edges).astype(np.float32))
    r, phi, z, eta = event.columns(["r", "phi", "z", "eta"]).T
    event.edge_attr = edge_features(r, phi, z, eta, event.edge_index)
    event.edge_feature_names = list(EDGE_FEATURES)
    return event.validate()


def written(event: Event, folder, dialect: str):
    write_pyg([event], folder, split_of={event.event_id: "val"}, dialect=dialect)
    (path,) = [path for path in folder.rglob("*") if path.is_file()]
    return path, load_safely(path)


def read(path) -> Event:
    (event,) = read_pyg(path)
    return event


GRAPH = ("edge_index", "edge_y", "edge_score", "edge_weight", "edge_attr", "truth_edge_index")


@pytest.mark.parametrize("dialect", ["prefixed", "plain"])
@pytest.mark.parametrize("num_edges", [0, 34, 40])
def test_a_graph_survives_both_dialects(tmp_path, dialect, num_edges):
    """34 edges: as many as hits, so that no length tells which is which."""
    event = graph_event(num_edges=num_edges)
    assert event.num_points == 34
    again = read(written(event, tmp_path / "out", dialect)[0])
    for name in GRAPH:
        assert torch.equal(again[name], event[name]), name
    assert again.edge_feature_names == list(EDGE_FEATURES)
    torch.testing.assert_close(again.pos, event.pos, rtol=1e-5, atol=1e-4)
    assert torch.equal(again.point_weight, event.point_weight)
    keep = event.object_num_points > 0
    assert torch.equal(again.object_id, event.object_id[keep])
    assert torch.equal(again.object_index, event.object_index)
    assert torch.equal(again.object_pt, event.object_pt[keep])
    torch.testing.assert_close(again.object_vertex, event.object_vertex[keep])
    assert torch.equal(again.columns(["r", "lx", "gphi"]), event.columns(["r", "lx", "gphi"]))


def test_names_of_the_prefixed_dialect(tmp_path):
    event = graph_event()
    entries = written(event, tmp_path / "out", "prefixed")[1]
    edges, truth = event.edge_index, event.truth_edge_index
    assert entries["edge_y"].dtype == torch.bool
    for name in ("edge_y", "edge_scores", "edge_weights", *(f"edge_{name}" for name in EDGE_FEATURES)):
        assert entries[name].shape == (edges.shape[1],)
    assert torch.equal(entries["track_to_edge_map"], truth_to_edge(edges, truth, event.num_points))
    assert (entries["track_to_edge_map"] == -1).any()
    assert torch.equal(entries["track_redundant_split_edges"], redundant_split(event, truth))
    object_of = event.object_index[truth[0]]
    assert torch.equal(entries["track_particle_id"], event.object_id[object_of])
    for name, field in {
        "pt": "object_pt",
        "eta": "object_eta",
        "nhits": "object_num_points",
        "pdgId": "object_pdg",
    }.items():
        assert torch.equal(entries[f"track_particle_{name}"], event[field][object_of])
    radius = event.object_vertex[:, :2].norm(dim=1)
    torch.testing.assert_close(entries["track_particle_radius"], radius[object_of])
    generation = (event.object_id >> 24) & 0xFFF
    assert torch.equal(entries["track_particle_primary"], (generation == 0).long()[object_of])
    assert isinstance(entries["config"], list)


def test_names_of_the_plain_dialect(tmp_path):
    event = graph_event()
    entries = written(event, tmp_path / "out", "plain")[1]
    names = ("y", "scores", "weights", "truth_map", "redundant_split_edges", "particle_id", "pt", "nhits", "primary",
             "pdgId", "radius", "eta_particle", "r", "phi", "z", "module_id", *EDGE_FEATURES)  # fmt: skip
    assert set(names) <= set(entries)
    assert not [name for name in entries if name.startswith("hit_") and name != "hit_id"]
    assert entries["y"].shape == (event.edge_index.shape[1],)
    assert entries["pt"].shape == (event.truth_edge_index.shape[1],)


def test_acorn_knows_particles_by_truth_edges_alone(tmp_path):
    """In acorn's own files no hit names its particle."""
    path, entries = written(graph_event(), tmp_path / "out", "prefixed")
    torch.save(Data.from_dict({k: v for k, v in entries.items() if not k.startswith("hit_particle_")}), path)
    again = read(path)
    assert torch.equal(again.object_index, graph_event().object_index)
    assert again.object_id.tolist() == graph_event().object_id[:-1].tolist()


def test_as_many_truth_edges_as_hits_without_prefix(tmp_path):
    """phi and eta without prefix are of the hits; pt and eta_particle are of the truth edges."""
    entries = {
        "hit_id": torch.arange(4), "r": torch.tensor([1.0, 2.0, 3.0, 4.0]), "phi": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "z": torch.zeros(4), "eta": torch.tensor([6.0, 7.0, 8.0, 9.0]),
        "track_edges": torch.tensor([[0, 1, 0, 2], [1, 3, 3, 2]]), "particle_id": torch.tensor([5, 5, 5, 6]),
        "pt": torch.tensor([2.0, 2.0, 2.0, 1.0]), "eta_particle": torch.tensor([1.5, 1.5, 1.5, -2.5]), "event_id": "3",
    }  # fmt: skip
    torch.save(Data.from_dict(entries), tmp_path / "event.pyg")
    event = read(tmp_path / "event.pyg")
    assert event.feature_names == ["r", "phi", "z", "eta"]
    assert event.columns(["eta"]).flatten().tolist() == [6.0, 7.0, 8.0, 9.0]
    assert event.object_eta.tolist() == [1.5, -2.5]
    assert event.object_pt.tolist() == [2.0, 1.0]
    assert "object_phi" not in event


@pytest.mark.parametrize("name", ["edge_scores", "edge_y", "edge_weights", "edge_dr"])
@pytest.mark.parametrize("factor", [2, 0.5])
def test_exatrkx_defect_17_arrays_of_edges_have_one_value_for_each_edge(tmp_path, name, factor):
    path, entries = written(graph_event(), tmp_path / "out", "prefixed")
    size = int(40 * factor)
    torch.save(Data.from_dict(entries | {name: torch.zeros(size)}), path)
    with pytest.raises(DataError, match=rf"'{name}' has shape \({size},\), one value for each of the 40 edges"):
        read(path)


def test_labels_of_either_name(tmp_path):
    path, entries = written(graph_event(), tmp_path / "out", "prefixed")
    labels = torch.arange(34) % 5 - 1
    for name in ("hit_label", "edge_track_labels", "labels"):
        torch.save(Data.from_dict(entries | {name: labels}), path)
        (result,) = read_pyg_results(path)
        assert torch.equal(result.labels, labels)
        assert read(path).edge_index.shape == (2, 40)


def test_settings_of_earlier_stages_stay_in_the_list(tmp_path):
    path, entries = written(graph_event(), tmp_path / "out", "prefixed")
    torch.save(Data.from_dict(entries | {"config": [{"stage": "reader"}, {"stage": "graph"}]}), path)
    config = written(read(path), tmp_path / "again", "prefixed")[1]["config"]
    assert config[:2] == [{"stage": "reader"}, {"stage": "graph"}]
    assert config[2]["reader"] == "pyg"


class TestExaTrkX:
    def test_round_trip(self, tmp_path):
        event = graph_event(123_001_007)
        path, entries = written(event, tmp_path / "out", "exa")
        assert path.relative_to(tmp_path).as_posix() == "out/val/123001007"
        r, phi, z = event.columns(["r", "phi", "z"]).T
        torch.testing.assert_close(entries["x"], torch.stack([r / 1000, phi / math.pi, z / 1000], dim=1))
        assert torch.equal(entries["modulewise_true_edges"], truth_edges(event))
        assert torch.equal(entries["layerwise_true_edges"], truth_edges(event, "layerwise"))
        weights = truth_edge_weights(event, entries["modulewise_true_edges"])
        torch.testing.assert_close(entries["edge_weights"], weights)
        assert float(entries["edge_weights"].mean()) == pytest.approx(1, abs=1e-5)
        again = read(path)
        assert again.event_id == 123_001_007
        for name in ("edge_index", "edge_y", "edge_score", "truth_edge_index", "point_id", "object_index"):
            assert torch.equal(again[name], event[name]), name
        torch.testing.assert_close(again.pos, event.pos, rtol=1e-4, atol=1e-3)
        assert again.object_id.tolist() == event.object_id[:-1].tolist()
        assert torch.equal(again.object_pt, event.object_pt[:-1])
        assert torch.equal(again.point_weight, event.point_weight)
        cells = ["cell_count", "cell_val", "leta", "lphi", "lx", "ly", "lz", "geta", "gphi"]
        assert torch.equal(again.columns(cells), event.columns(cells))

    @staticmethod
    def entries(**changes):
        return {
            "x": torch.tensor([[0.03, 0.5, 0.0], [0.07, 0.5, 0.0], [0.01, 0.5, 0.0]]),
            "pid": torch.tensor([2**60, 2**60, 0]),
            "pt": torch.tensor([1.9, 2.0, 4e5]),
            "hid": torch.tensor([4, 2, 9]),
            "event_file": "/data/train/event000011007",
            "modulewise_true_edges": torch.tensor([[0], [1]]),
        } | changes

    def read(self, path, **changes) -> Event:
        entries = {name: value for name, value in self.entries(**changes).items() if value is not None}
        torch.save(Data.from_dict(entries), path)
        return read(path)

    def test_exatrkx_defect_04_momentum_is_that_of_the_first_hit(self, tmp_path):
        event = self.read(tmp_path / "11007")
        assert event.object_pt.tolist() == pytest.approx([1.9])
        turned = self.read(tmp_path / "11008", pt=torch.tensor([2.0, 1.9, 1.0]), x=self.entries()["x"][[1, 0, 2]])
        assert turned.object_pt.tolist() == pytest.approx([1.9])
        assert event.object_id.tolist() == [2**60]
        assert event.object_index.tolist() == [0, 0, -1]
        assert event.provenance_dict()["config"][0]["pt"] == "at the innermost hit"

    def test_exatrkx_defect_05_events_are_named_by_all_digits(self, tmp_path):
        assert self.read(tmp_path / "1007").event_id == 11007
        assert self.read(tmp_path / "21007", event_file=None).event_id == 21007
        with pytest.raises(DataError, match="no event id: event_file is None"):
            self.read(tmp_path / "event.pyg", event_file=None)

    def test_exatrkx_defect_01_ids_that_lost_digits_are_refused(self, tmp_path):
        few = torch.tensor([7.0, 7.0, float("nan")], dtype=torch.float64)
        assert self.read(tmp_path / "1", pid=few).object_index.tolist() == [0, 0, -1]
        with pytest.raises(
            DataError, match="'hit_particle_id' is torch.float64 .* digits of ids are lost; mend: build"
        ):
            self.read(tmp_path / "2", pid=self.entries()["pid"].double())

    def test_twice_the_scores(self, tmp_path):
        edges = torch.tensor([[0, 1], [1, 2]])
        with pytest.raises(DataError, match="'edge_scores' has shape .4,.*; mend: keep one of the two directions"):
            self.read(tmp_path / "1", edge_index=edges, scores=torch.zeros(4))
        event = self.read(tmp_path / "1", edge_index=edges, scores=torch.ones(2), y=torch.tensor([True, False]))
        assert event.edge_score.tolist() == [1, 1]
        assert event.edge_y.tolist() == [1, 0]

    def test_folders_become_stores(self, tmp_path):
        events = [graph_event(number) for number in (1, 2, 1003)]
        write_pyg(events, tmp_path / "exa", split_of={1: "train", 2: "val", 1003: "train"}, dialect="exa")
        write_pyg(
            events, tmp_path / "exa", split_of={1: "train", 2: "val", 1003: "train"}, dialect="exa", overwrite=True
        )
        assert guess_format(tmp_path / "exa") == "pyg"
        assert convert(tmp_path / "exa", tmp_path / "store") == 3
        store = EventStore(tmp_path / "store")
        assert [int(store.event_ids[row]) for row in store.indices("train")] == [1, 1003]
        assert torch.equal(store[0].edge_score, events[0].edge_score)

    def test_what_is_missing_is_named(self, tmp_path):
        with pytest.raises(DataError, match="Exa.TrkX files need truth"):
            write_pyg([Event(event_id=1, pos=torch.zeros(2, 3))], tmp_path / "out", dialect="exa")
        with pytest.raises(DataError, match="unknown dialect 'exe'. Did you mean 'exa'"):
            write_pyg([graph_event()], tmp_path / "out", dialect="exe")
        assert not (tmp_path / "out").exists()
