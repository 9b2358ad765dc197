"""Whole simulated events: contract, seeds, truth, physics."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.particle_id import decode_particle_id
from hitloom.simulate.particles import ParticleTable, renumbered
from hitloom.simulate.pythia import pythia_seeds
from hitloom.simulate.tracker import TrackerConfig, simulate_event, simulate_tracker

pytest.importorskip("acts")

PIONS = TrackerConfig(process="gun", gun_pdg=211, gun_num_particles=150, gun_pt=(0.3, 20.0), max_eta=3.0)
MUONS = TrackerConfig(
    process="gun", gun_num_particles=60, gun_pt=(5.0, 20.0), max_eta=2.5, noise_fraction=0.0, interactions=False
)


@pytest.fixture(scope="module")
def pions():
    return simulate_event(PIONS, seed=11, event_id=4)


@pytest.fixture(scope="module")
def ttbar():
    pytest.importorskip("pythia8mc")
    return simulate_event(TrackerConfig(), seed=2, event_id=0)


def same(one, other) -> bool:
    left, right = one.to_dict(), other.to_dict()
    return left.keys() == right.keys() and all(
        torch.equal(left[k], right[k]) if isinstance(left[k], torch.Tensor) else left[k] == right[k] for k in left
    )


def test_contract(pions):
    assert pions.source == "simulate-tracker"
    assert pions.event_id == 4
    record = pions.provenance_dict()
    assert record["seed"] == 11
    assert record["config"]["field"] == "solenoid"
    assert set(record["versions"]) == {"hitloom", "pyacts", "pythia8mc"}
    assert pions.feature_names[:3] == ["r", "phi", "z"]
    assert pions.x.shape[1] == len(pions.feature_names) == 15
    assert pions.part_feature_names == ["ch0", "ch1", "value"]
    assert torch.equal(pions.point_id, torch.arange(1, pions.num_points + 1))
    assert torch.equal(torch.unique(pions.part_point_index), torch.arange(pions.num_points))
    key = list(zip(pions.volume.tolist(), pions.layer.tolist(), pions.module.tolist(), strict=True))
    assert key == sorted(key)


def test_noise_share_and_truth_links(pions):
    noise = pions.object_index < 0
    assert float(noise.float().mean()) == pytest.approx(0.15, abs=1e-3)
    counted = torch.bincount(pions.object_index[~noise], minlength=pions.num_objects)
    assert torch.equal(counted, pions.object_num_points)
    assert not noise[pions.truth_edge_index].any()
    owner = pions.object_index[pions.truth_edge_index]
    assert torch.equal(owner[0], owner[1])
    assert pions.truth_edge_index.shape[1] == int((pions.object_num_points - 1).clamp(min=0).sum())
    assert float(pions.point_weight.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(pions.point_weight[noise].sum()) == 0.0


def test_never_two_hits_of_a_particle_on_one_module(pions, ttbar):
    for event in (pions, ttbar):
        rows = torch.stack([event.object_index, event.volume, event.layer, event.module], dim=1)
        rows = rows[event.object_index >= 0]
        assert len(torch.unique(rows, dim=0)) == len(rows)


def test_same_numbers_same_bytes(pions):
    assert same(pions, simulate_event(PIONS, seed=11, event_id=4))
    assert not torch.equal(pions.pos[:50], simulate_event(PIONS, seed=12, event_id=4).pos[:50])


def test_number_of_processes_does_not_matter():
    config = PIONS.model_copy(update={"gun_num_particles": 20})
    alone = list(simulate_tracker(config, num_events=3, seed=5, first_event_id=7))
    parallel = list(simulate_tracker(config, num_events=3, seed=5, first_event_id=7, num_processes=2))
    assert [event.event_id for event in parallel] == [7, 8, 9]
    for one, other in zip(alone, parallel, strict=True):
        assert same(one, other)
        assert pickle.dumps(one.pos.numpy()) == pickle.dumps(other.pos.numpy())


def test_an_event_does_not_depend_on_those_before(ttbar):
    """Pythia is seeded anew for each event: event 0 after others equals event 0 alone."""
    from hitloom.simulate.tracker import _workshop

    _workshop.cache_clear()
    events = {event_id: simulate_event(TrackerConfig(), seed=2, event_id=event_id) for event_id in (3, 1, 0)}
    assert same(events[0], ttbar)
    assert not torch.equal(events[1].object_id, events[3].object_id)


def test_pythia_seeds_are_distinct():
    seeds = [seed for event_id in range(5000) for seed in pythia_seeds(1, event_id)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 1
    assert max(seeds) <= 900_000_000
    assert max(pythia_seeds(1, 10**12)) <= 900_000_000


def test_no_words_from_the_libraries(capfd):
    _ = simulate_event(PIONS, seed=1, event_id=0)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_ttbar_event(ttbar):
    ids = decode_particle_id(ttbar.object_id.numpy())
    assert (ids.vertex == 1).all()
    assert ttbar.object_is_signal.all()
    primary = ids.generation == 0
    assert (ttbar.object_pt.numpy()[primary] >= 0.15).all()
    assert (np.abs(ttbar.object_eta.numpy()[primary]) <= 4.0).all()
    rho = np.hypot(*ttbar.object_vertex.numpy()[:, :2].T)
    assert (rho[primary] < 24.0).all()
    assert rho[primary].max() > 0.5  # decays in flight: K0s, Lambda, B
    assert (ids.process[~primary] == 4).all()
    assert 500 < ttbar.num_points < 6000
    assert set(np.unique(np.abs(ttbar.object_pdg.numpy()[~primary]))) <= {211, 2212}


def test_muons_follow_a_helix_in_a_constant_field():
    """Positions of the simulated crossings against the exact helix, without material."""
    event = simulate_event(
        MUONS.model_copy(update={"field": "constant", "nuclear_interactions": False}), seed=1, event_id=0
    )
    index = event.object_index.numpy()
    radius = event.object_pt.numpy()[index] / (0.299792458e-3 * 2.0)
    charge = event.object_charge.numpy()[index]
    vertex, direction = event.object_vertex.numpy()[index], event.object_phi.numpy()[index]
    along_z = event.truth_pos.numpy()[:, 2] - vertex[:, 2]
    length = along_z / np.sinh(event.object_eta.numpy()[index])  # transverse arc length
    turn = -charge * length / radius
    x = vertex[:, 0] - charge * radius * (np.sin(direction + turn) - np.sin(direction))
    y = vertex[:, 1] + charge * radius * (np.cos(direction + turn) - np.cos(direction))
    steep = np.abs(event.object_eta.numpy()[index]) > 0.1  # arc length from z is ill-conditioned at eta = 0
    difference = np.hypot(x - event.truth_pos.numpy()[:, 0], y - event.truth_pos.numpy()[:, 1])
    assert len(event.pos) > 500
    assert difference[steep].max() < 0.05


def test_every_muon_crosses_the_detector():
    event = simulate_event(MUONS, seed=3, event_id=0)
    assert int(event.object_num_points.min()) >= 8
    assert event.num_objects == 60
    residual = (event.pos - event.truth_pos).norm(dim=1)
    assert float(residual[event.volume == 8].median()) < 0.02
    assert 1.0 < float(residual[event.volume == 17].median()) < 6.0


def test_nuclear_interactions_end_hadrons_and_spare_muons():
    many = {"gun_num_particles": 400, "gun_pt": (3.0, 10.0), "noise_fraction": 0.0, "max_eta": 2.5}
    hits = {}
    for pdg in (13, 211):
        for nuclear in (False, True):
            config = PIONS.model_copy(update={**many, "gun_pdg": pdg, "nuclear_interactions": nuclear})
            event = simulate_event(config, seed=1, event_id=0)
            primary = decode_particle_id(event.object_id.numpy()).generation == 0
            assert primary.sum() == 400
            hits[pdg, nuclear] = event.object_num_points.numpy()[primary].mean()
            if pdg == 13 or not nuclear:
                assert primary.all()
            else:
                secondary = event.select_points(event.object_index >= 0)
                assert 0.05 < (~primary).sum() / 400 < 0.6
                rho = np.hypot(*secondary.object_vertex.numpy()[~primary, :2].T)
                assert rho.min() > 18.5  # the beam pipe is the first material
    assert hits[13, True] == pytest.approx(hits[13, False], abs=0.15)
    assert 0.8 < hits[211, True] / hits[211, False] < 0.95


def test_photons_convert_when_asked():
    config = PIONS.model_copy(update={"gun_pdg": 22, "gun_pt": (1.0, 2.0), "photon_conversions": True})
    event = simulate_event(config, seed=0, event_id=0)
    assert set(event.object_pdg.tolist()) == {-11, 11}
    ids = decode_particle_id(event.object_id.numpy())
    assert (ids.generation >= 1).all()
    assert (ids.process == 2).all()
    nothing = simulate_event(config.model_copy(update={"photon_conversions": False}), seed=0, event_id=0)
    assert nothing.num_points == nothing.num_objects == 0


@pytest.mark.real_data
def test_trackml_module_ids_hold_their_hits(test_data):
    """Every measured hit lies inside the TrackML module that it names, by the TrackML table itself."""
    pandas = pytest.importorskip("pandas")
    path = test_data / "trackml-thinned" / "detectors.csv.gz"
    event = simulate_event(PIONS.model_copy(update={"detectors": path}), seed=11, event_id=4)
    assert "/" not in event.provenance_dict()["config"]["detectors"]
    table = pandas.read_csv(path).set_index(["volume_id", "layer_id", "module_id"])
    own = table.loc[list(zip(event.volume.tolist(), event.layer.tolist(), event.module.tolist(), strict=True))]
    axes = [[f"rot_{row}{column}" for column in "uvw"] for row in "xyz"]
    rotation = np.stack([own[names].to_numpy() for names in axes], axis=1)
    for points, beyond in ((event.truth_pos, 0.01), (event.pos, 0.2)):
        local = np.einsum("nij,ni->nj", rotation, points.numpy() - own[["cx", "cy", "cz"]].to_numpy())
        along = np.clip((local[:, 1] + own.module_hv) / (2 * own.module_hv), 0, 1)
        width = own.module_minhu + along * (own.module_maxhu - own.module_minhu)
        signal = (event.object_index >= 0).numpy()  # the middle of a noise cluster is inside, its cells may stick out
        assert (np.abs(local[signal, 0]) <= width[signal] + beyond).all()
        assert (np.abs(local[:, 1]) <= own.module_hv + beyond).all()
        assert (np.abs(local[:, 2]) < 0.01).all()


@pytest.mark.real_data
def test_trackml_files_give_the_event_back(test_data, tmp_path):
    """Written as TrackML files and read again: the reader makes features and truth edges anew and finds the same."""
    from hitloom.data.trackml_read import read_trackml
    from hitloom.data.trackml_write import write_trackml

    detectors = test_data / "trackml-thinned" / "detectors.csv.gz"
    event = simulate_event(PIONS.model_copy(update={"detectors": detectors}), seed=11, event_id=4)
    write_trackml([event], tmp_path / "out")
    (back,) = read_trackml(tmp_path / "out", detectors=detectors)
    assert back.event_id == 4
    exact = ("pos", "point_id", "volume", "layer", "module", "object_index", "truth_pos", "object_id", "object_pdg")
    for name in (*exact, "object_num_points", "truth_edge_index", "part_point_index", "point_weight"):
        assert torch.equal(event[name], back[name]), name
    assert event.feature_names == back.feature_names
    for name in ("x", "object_pt", "object_eta", "object_phi", "object_energy"):
        torch.testing.assert_close(event[name], back[name], rtol=1e-5, atol=1e-5)


def test_ids_are_unique_and_overflow_is_an_error():
    rows = [(1, 5, g, 0, 0, 211, 1.0, 0.14, 0, 0, 0, 0, 1, 0, 0) for g in (0, 1, 1, 2, 1)]
    table = renumbered(ParticleTable.from_rows(rows))
    assert table.secondary.tolist() == [0, 1, 2, 1, 3]
    assert len(set(table.packed_ids().tolist())) == 5
    with pytest.raises(DataError, match="belongs to two particles"):
        ParticleTable.from_rows(rows).packed_ids()
    with pytest.raises(DataError, match="vertex = 2048"):
        ParticleTable.from_rows([(2048, *rows[0][1:])]).packed_ids()


def test_impossible_requests_are_refused():
    with pytest.raises(ConfigError, match="seed must not be negative"):
        simulate_event(PIONS, seed=-1, event_id=0)
    with pytest.raises(ConfigError, match="num_events must not be negative"):
        simulate_tracker(PIONS, num_events=-2, seed=0)
    with pytest.raises(ConfigError, match="num_processes must be at least 1"):
        simulate_tracker(PIONS, num_events=1, seed=0, num_processes=0)
    with pytest.raises(ConfigError, match="gun_pdg 12 is not known"):
        simulate_event(PIONS.model_copy(update={"gun_pdg": 12}), seed=0, event_id=0)
    with pytest.raises(ValueError, match="gun_pt must be a range"):
        TrackerConfig(gun_pt=(3.0, 1.0))
    with pytest.raises(ValueError, match="below min_pt"):
        TrackerConfig(process="gun", gun_pt=(0.1, 1.0))


def test_events_are_made_lazily():
    events = simulate_tracker(PIONS, num_events=10**9, seed=0)
    assert next(events).event_id == 0
    assert json.loads(next(events).provenance)["config"]["process"] == "gun"
