"""Dummy tracksters from statistics: every defect of the original generator, the file, the commands."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hitloom.cli.main import build_app
from hitloom.data.store import EventStore, EventWriter
from hitloom.data.ticl_read import read_ticl
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.data.trackster_graph import candidate_graph
from hitloom.errors import DataError
from hitloom.simulate.trackster_sampler import covariance_root, sample_tracksters
from hitloom.simulate.trackster_statistics import TracksterStatistics, mirrored
from trackster_toy import toy_trackster_event

AT = {name: place for place, name in enumerate(NODE_FEATURES)}


def training_events(number: int = 6):
    return [toy_trackster_event(seed, num_particles=5, num_pileup=4) for seed in range(number)]


@pytest.fixture(scope="module")
def learned():
    return TracksterStatistics.fit(training_events())


@pytest.fixture(scope="module")
def drawn(learned):
    return list(sample_tracksters(learned, num_events=40, seed=3))


def test_ids_count_on_and_pile_up_has_every_object(drawn):
    """Defect 8: sim ids began anew in each cluster; isPU was cut to the length of the signal."""
    for event in drawn:
        assert torch.equal(event.object_id, torch.arange(event.num_objects))
        assert torch.equal(torch.unique(event.object_index), event.object_id)
        assert len(event.object_is_signal) == event.num_objects
        total = torch.zeros(event.num_objects).index_add(0, event.object_index, event.energy)
        torch.testing.assert_close(total, event.object_energy, rtol=1e-5, atol=1e-5)
    assert {bool(flag) for event in drawn for flag in event.object_is_signal} == {True, False}


def test_number_of_objects_follows_the_statistics(learned, drawn):
    for kind, wanted in (("signal", 5), ("pileup", 4)):
        one = learned.classes[kind]
        assert float(one.count_mean) == pytest.approx(wanted, abs=1)  # objects without a matched trackster do not count
        numbers = [int((event.object_is_signal == (kind == "signal")).sum()) for event in drawn]
        assert np.mean(numbers) == pytest.approx(float(one.per_cluster_count_mean.sum()), rel=0.35)


def test_eta_and_phi_are_those_of_the_position(drawn):
    """Defect 8 (and 7 of the calorimeter): eta was computed before z became positive."""
    for event in drawn:
        x, y, z = event.x[:, :3].double().T
        torch.testing.assert_close(
            torch.asinh(z / torch.hypot(x, y)), event.x[:, AT["barycenter_eta"]].double(), atol=1e-4, rtol=0
        )
        torch.testing.assert_close(torch.atan2(y, x), event.x[:, AT["barycenter_phi"]].double(), atol=1e-4, rtol=0)
        torch.testing.assert_close(event.pos, event.x[:, :3] * 10)
    assert {bool(event.x[row, 2] < 0) for event in drawn for row in range(event.num_points)} == {True, False}


@pytest.mark.parametrize("seed", range(4))
def test_covariances_are_mended(seed):
    """Defect 8: a drawn covariance may have negative eigenvalues. The root is that of the nearest one without."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(6, 6))
    symmetric = (matrix + matrix.T) / 2
    assert np.linalg.eigvalsh(symmetric).min() < 0
    root = covariance_root(matrix)
    values, vectors = np.linalg.eigh(symmetric)
    np.testing.assert_allclose(root @ root.T, vectors @ np.diag(values.clip(0)) @ vectors.T, atol=1e-9)
    positive = matrix @ matrix.T
    root = covariance_root(positive)
    np.testing.assert_allclose(root @ root.T, positive, atol=1e-9)


def test_exactly_the_events_asked_for_and_none_twice(learned):
    """Defect 8: loops began at 500 or 50; a fixed random state repeated the events."""
    events = list(sample_tracksters(learned, num_events=7, seed=1, first_event_id=10))
    assert [event.event_id for event in events] == list(range(10, 17))
    assert len({float(event.x.double().sum()) for event in events}) == 7
    again = next(sample_tracksters(learned, num_events=1, seed=1, first_event_id=13))
    assert torch.equal(again.x, events[3].x)
    other = next(sample_tracksters(learned, num_events=1, seed=2, first_event_id=13))
    assert other.x.shape != again.x.shape or not torch.equal(other.x, again.x)


def test_what_features_must_obey(learned, drawn):
    for event in drawn:
        x = event.x.double()
        column = {name: x[:, place] for name, place in AT.items()}
        assert bool((column["z_min"] < column["barycenter_z"]).all())
        assert bool((column["barycenter_z"] < column["z_max"]).all())
        axis = x[:, AT["eVector0_x"] : AT["eVector0_z"] + 1]
        torch.testing.assert_close(axis.norm(dim=1), torch.ones(len(x)).double(), atol=1e-5, rtol=0)
        assert bool((axis[:, 2] * column["barycenter_z"] >= 0).all())
        for first in ("EV1", "sigmaPCA1"):
            three = x[:, AT[first] : AT[first] + 3]
            assert bool((three[:, :-1] >= three[:, 1:]).all())
            assert bool((three >= 0).all())
        share = x[:, AT["photon_prob"] : AT["neutral_hadron_prob"] + 1]
        torch.testing.assert_close(share.sum(1), torch.ones(len(x)).double(), atol=1e-5, rtol=0)
        assert bool((share >= 0).all())
        torch.testing.assert_close(column["LC_density"], column["num_LCs"] / 282, atol=1e-6, rtol=0)
        torch.testing.assert_close(column["trackster_density"], torch.full((len(x),), len(x) / 282).double(), atol=1e-5,
                                   rtol=0)  # fmt: skip
        assert bool((column["num_LCs"] >= 1).all())
        assert torch.equal(column["num_LCs"], column["num_LCs"].round())
        assert bool((column["num_hits"] >= column["num_LCs"]).all())
        assert bool((column["raw_energy"] > 0).all())
        assert bool((column["raw_em_energy"] <= column["raw_energy"]).all())
        eta = column["barycenter_eta"].abs()
        for one in learned.classes.values():
            low, high = one.low[AT["barycenter_eta"]], one.high[AT["barycenter_eta"]]
        assert 1.2 < float(eta.min()) < float(eta.max()) < 3.5, (low, high)
    times = torch.cat([event.time for event in drawn])
    missing = float((times == -99).float().mean())
    assert 0.005 < missing < 0.4
    assert bool(((times == -99) | (times > 0)).all())


def test_graph_and_labels_are_those_of_the_reader(drawn):
    for event in drawn[:10]:
        eta, phi, z = (event.x[:, AT[f"barycenter_{name}"]].numpy() for name in ("eta", "phi", "z"))
        assert np.array_equal(event.edge_index.numpy(), candidate_graph(eta, phi, z))
        ends = event.object_index[event.edge_index]
        assert torch.equal(event.edge_y, (ends[0] == ends[1]).float())
    assert 0.1 < float(torch.cat([event.edge_y for event in drawn]).mean()) < 1


def test_one_endcap(learned):
    for event in sample_tracksters(learned, num_events=3, seed=0, both_endcaps=False):
        assert bool((event.x[:, [AT["barycenter_z"], AT["z_min"], AT["barycenter_eta"]]] > 0).all())


def test_mirroring_twice_changes_nothing():
    x = toy_trackster_event(2).x[:, :29].double().numpy()
    there = mirrored(x, np.ones(len(x), bool))
    assert np.array_equal(mirrored(there, np.ones(len(x), bool)), x)
    assert np.array_equal(there[:, AT["z_min"]], -x[:, AT["z_max"]])
    assert (there[:, AT["z_min"]] <= there[:, AT["barycenter_z"]]).all()


def test_means_of_one_cluster_are_those_of_the_tracksters():
    """One object in each event: the pose is the energy-weighted mean, the rest follows by hand."""
    events = [toy_trackster_event(seed, num_particles=1, shared=0.0, missing_time=0.0) for seed in range(3)]
    found = TracksterStatistics.fit(events).classes
    assert set(found) == {"signal"}
    one = found["signal"]
    poses, tracksters = [], []
    for event in events:
        rows = event.object_index >= 0
        x = mirrored(event.x[rows, :29].double().numpy(), (event.x[rows, 2] < 0).numpy())
        poses.append(np.average(x, axis=0, weights=x[:, AT["raw_energy"]]))
        tracksters.append(len(x))
    order = np.argsort([pose[0] for pose in poses])
    np.testing.assert_allclose(one.poses_mean[np.argsort(one.poses_mean[:, 0])], np.array(poses)[order], rtol=1e-6)
    assert (one.cov_mean == 0).all()
    assert float(one.trackster_count_mean) == pytest.approx(np.mean(tracksters))
    np.testing.assert_allclose(one.per_cluster_count_mean, 1 / 3)


def test_statistics_file_round_trip(learned, tmp_path):
    learned.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    again = TracksterStatistics.load(tmp_path / "a.npz")
    one = next(sample_tracksters(learned, num_events=1, seed=0))
    assert torch.equal(next(sample_tracksters(again, num_events=1, seed=0)).x, one.x)


def test_pickled_files_are_refused(tmp_path):
    """The original's dictionaries need pickle: nothing of them is loaded."""

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    np.savez(tmp_path / "simTrackster.npz", signal_simTrackster=np.array({"poses_mean": Trap()}, dtype=object))
    with pytest.raises(DataError, match="refused; mend: hitloom data statistics"):
        TracksterStatistics.load(tmp_path / "simTrackster.npz")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match="damaged, or not a file of statistics"):
        TracksterStatistics.load(tmp_path / "b.npz")
    with pytest.raises(DataError, match="No such file"):
        TracksterStatistics.load(tmp_path / "c.npz")
    assert not (tmp_path / "trapped").exists()


def test_events_that_teach_nothing(tmp_path):
    with pytest.raises(DataError, match="no event has a matched trackster"):
        TracksterStatistics.fit([toy_trackster_event(0, num_particles=0)])
    bare = toy_trackster_event(0)
    del bare.object_index
    with pytest.raises(DataError, match="'object_index' is needed"):
        TracksterStatistics.fit([bare])


def test_commands(tmp_path):
    """Statistics, events, ROOT: and the splits have the names that readers look for (defect 8: val for test)."""

    def run(*arguments):
        result = CliRunner().invoke(build_app(), [str(argument) for argument in arguments])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    with EventWriter(tmp_path / "store", provenance={}) as writer:
        for event in training_events(3):
            writer.write(event)
    file = tmp_path / "statistics.npz"
    assert "clusters of signal" in run("data", "statistics", tmp_path / "store", file, "--split", "all")
    run(
        "simulate", "tracksters", "--statistics", file, "-o", tmp_path / "dummy", "-n", 5, "--root", tmp_path / "a.root"
    )
    store = EventStore(tmp_path / "dummy")
    assert store.event_ids.tolist() == [0, 1, 2, 3, 4]
    assert "not physics" in json.loads(store[0].provenance)["simulation"]
    for one, other in zip(store, read_ticl(tmp_path / "a.root"), strict=True):
        assert torch.equal(one.x, other.x)
    run("data", "split", tmp_path / "dummy", "--counts", 3, 1, 1)
    run("data", "convert", tmp_path / "dummy", tmp_path / "folder", "--to", "ticl", "--layout", "A")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["test", "train", "val"]
    assert len(list(read_ticl(tmp_path / "folder" / "test"))) == 1
