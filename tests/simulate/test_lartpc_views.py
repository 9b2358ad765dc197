"""Simulated wire views: layout, what must hold between them, and that a seed decides all."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from hitloom.cli.main import run as run_main
from hitloom.config import dump_yaml
from hitloom.data.lartpc_detectors import get_detector
from hitloom.data.shower_files import read_pandora
from hitloom.data.shower_statistics import ceiling_rates, group_rates, statistics_of_views
from hitloom.data.shower_truth import hit_owners
from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.simulate.lartpc import (
    LArTPCConfig,
    _make,
    read_out,
    simulate_lartpc,
    simulate_slice,
    simulate_slices,
)
from hitloom.simulate.lartpc_config import ReadoutConfig
from hitloom.simulate.lartpc_deposits import ArgonDeposits, ArgonEvent, ArgonParticles
from hitloom.simulate.lartpc_events import gap_distance

NUM_SLICES = 24


@pytest.fixture(scope="module")
def views() -> list[Event]:
    return list(simulate_lartpc(LArTPCConfig(), num_events=NUM_SLICES, seed=11))


def column(event: Event, name: str) -> np.ndarray:
    return event.part_x[:, event.part_feature_names.index(name)].numpy()


def slices(views: list[Event]) -> list[list[Event]]:
    return [views[first : first + 3] for first in range(0, len(views), 3)]


def toy_argon(*, energy: float = 1.0) -> ArgonEvent:
    """A straight muon along z from the vertex, whose decay electron (a radiated photon below) leaves a second track."""
    num = 80
    z = np.arange(num + 1) * 0.25
    points = np.stack([100.0 + 0.2 * z, 30.0 + 0 * z, 400.0 + z], axis=1)
    return ArgonEvent(
        vertex=points[0],
        particles=ArgonParticles(
            pdg=np.array([13, -11, 22]),
            parent=np.array([-1, 0, 1]),
            start=points[[0, 40, 60]],
            end=points[[40, 60, 80]],
            momentum=np.ones((3, 3)),
            energy=np.array([200.0, 40.0, 10.0]),
            from_beam=np.array([True, True, True]),
        ),
        deposits=ArgonDeposits(
            start=points[:-1], end=points[1:], energy=np.full(num, energy), particle=np.repeat([0, 1, 2], [40, 20, 20])
        ),
    )


def test_views_are_valid_events_in_order(views: list[Event]):
    assert [int(event.event_id) for event in views] == [10 * s + v for s in range(NUM_SLICES) for v in (4, 5, 6)]
    for event in views:
        event.validate()
        provenance = event.provenance_dict()
        assert provenance["detector"] == "dune-fd-hd"
        assert provenance["num_unclustered_hits"] == 0
        assert event.part_feature_names == ["x", "z", "x_width", "x_gap", "pitch", "energy"]
        assert torch.isfinite(event.part_x).all()


def test_numbers_of_clusters_hits_and_particles_run_through_the_slice(views: list[Event]):
    for three in slices(views):
        for name in ("point_id", "part_id"):
            together = torch.cat([event[name] for event in three])
            assert together.tolist() == list(range(len(together)))
        owner = [event.object_id[hit_owners(event)] for event in three]
        _, first = np.unique(torch.cat(owner).numpy(), return_index=True)
        assert (np.diff(first) > 0).all()  # numbered by first appearance over the hits


def test_number_of_hits_is_the_same_everywhere(views: list[Event]):
    for event in views:
        assert torch.equal(torch.bincount(event.part_point_index), event.x[:, 0].long())


def test_each_view_has_its_own_pitch(views: list[Event]):
    pitch = get_detector("dune-fd-hd").pitch
    for event in views:
        assert set(column(event, "pitch")) == {np.float32(pitch[int(event.layer[0])])}


def drift_end(event: Event, side: int) -> float:
    """Lowest (-1) or highest (1) drift position of a view, with the width of the hit."""
    return side * float((side * column(event, "x") + column(event, "x_width") / 2).max())


def test_views_see_the_same_drift_range(views: list[Event]):
    ends = np.array([[[drift_end(event, side) for side in (-1, 1)] for event in three] for three in slices(views)])
    spread = np.ptp(ends, axis=1)
    assert (spread < 1.0).mean() > 0.75  # the last hit of the others is a blip that one view has below the threshold
    track = [read_out(toy_argon(), LArTPCConfig(), seed=0, event_id=0)]
    ends = np.array([[[drift_end(event, side) for side in (-1, 1)] for event in three] for three in track])
    assert np.ptp(ends, axis=1).max() < 0.25


def test_initial_clusters_are_pure_and_incomplete(views: list[Event]):
    for numbers in statistics_of_views(views).values():
        assert numbers["purity"] >= 0.95
        assert numbers["completeness"] < 0.5
        assert 100 < numbers["median_clusters"] < 350
        assert 300 < numbers["median_hits"] < 1200
        assert numbers["hits_without_truth"] == 0


def test_grouping_by_the_true_similarity_is_nearly_perfect(views: list[Event]):
    rates = ceiling_rates(views)
    assert abs(rates["target"]["ari"] - rates["perfect"]["ari"]) < 0.02
    assert rates["perfect"]["ari"] > 0.85
    assert rates["initial"]["ari"] < 0.35
    assert rates["one"]["ari"] == pytest.approx(0.0, abs=1e-9)
    assert rates["one"]["completeness"] == 1.0


def test_rates_are_those_of_scikit_learn(views: list[Event]):
    from sklearn.metrics import adjusted_rand_score

    event = views[0]
    labels = torch.arange(event.num_points)
    expected = adjusted_rand_score(hit_owners(event).numpy(), event.part_point_index.numpy())
    assert group_rates(event, labels)["ari"] == pytest.approx(expected)


def test_a_slice_depends_on_seed_and_number_only(views: list[Event]):
    alone = simulate_slice(LArTPCConfig(), seed=11, event_id=5)
    for one, other in zip(alone, views[15:18], strict=True):
        assert one.keys() == other.keys()
        for name in one.keys():  # noqa: SIM118
            same = (
                torch.equal(one[name], other[name]) if isinstance(one[name], torch.Tensor) else one[name] == other[name]
            )
            assert same, name
    assert not torch.equal(simulate_slice(LArTPCConfig(), seed=12, event_id=5)[0].part_x, alone[0].part_x)


def test_a_worker_that_starts_elsewhere_makes_the_same(views: list[Event]):
    # what travels to a process is the function and the number (see tests of hitloom.simulate.parallel)
    make = pickle.loads(pickle.dumps(partial(_make, LArTPCConfig(), 11)))
    elsewhere = [make(6), *list(simulate_slices(LArTPCConfig(), num_events=2, seed=11, first_event_id=4))]
    for three, number in zip(elsewhere, (6, 4, 5), strict=True):
        for one, other in zip(three, views[3 * number : 3 * number + 3], strict=True):
            assert torch.equal(one.part_x, other.part_x)
            assert torch.equal(one.part_point_index, other.part_point_index)
            assert one.provenance == other.provenance


def test_places_are_relative_to_the_projected_vertex():
    track = toy_argon()
    for event in read_out(track, LArTPCConfig(), seed=0, event_id=0):
        view = int(event.layer[0])
        first = int(np.argmin(np.hypot(column(event, "x"), column(event, "z"))))
        assert abs(column(event, "x")[first]) < 0.3
        assert abs(column(event, "z")[first]) < get_detector("dune-fd-hd").pitch[view]
        far = np.hypot(column(event, "x"), column(event, "z")).max()
        assert far == pytest.approx(20 * np.hypot(0.2, np.cos(get_detector("dune-fd-hd").angle[view])), abs=0.5)


def test_a_smeared_vertex_moves_all_three_views_alike():
    sharp = read_out(toy_argon(), LArTPCConfig(), seed=0, event_id=0)
    smeared = read_out(toy_argon(), LArTPCConfig(readout=ReadoutConfig(vertex_smearing=5.0)), seed=0, event_id=0)
    moved = [float(column(a, "x").mean() - column(b, "x").mean()) for a, b in zip(sharp, smeared, strict=True)]
    assert 0.0 < abs(moved[0]) < 2.0
    assert moved[1:] == pytest.approx([moved[0]] * 2, abs=1e-4)
    for a, b in zip(sharp, smeared, strict=True):  # where the hits are in the detector does not change
        np.testing.assert_allclose(column(a, "x_gap"), column(b, "x_gap"), atol=1e-4)


def test_particles_of_a_view_are_those_with_hits():
    u, v, w = read_out(toy_argon(), LArTPCConfig(), seed=0, event_id=0)
    for event in (u, v, w):
        assert event.object_pdg.tolist() == [13, -11]  # the photon is part of the positron
        assert event.object_id.tolist() == [0, 1]
        assert event.object_parent.tolist() == [-1, 0]
        assert event.object_energy.tolist() == pytest.approx([0.2, 0.04])
        assert event.object_vertex[0].tolist() == pytest.approx([1000.0, 300.0, 4000.0])
        assert event.object_is_signal.tolist() == [True, True]


def test_distance_to_the_nearest_gap_edge_has_a_sign():
    detector = get_detector("sbnd")
    assert gap_distance(np.array([-5.0, 4.0, -0.2]), detector).tolist() == pytest.approx([-4.0, 3.0, 0.8])


def test_nothing_is_read_in_a_dead_gap(tmp_path: Path):
    detector = get_detector("dune-fd-hd").model_dump(mode="json")
    path = tmp_path / "wide.yaml"
    path.write_text(dump_yaml(detector | {"name": "wide", "gaps": [[-1.5, 1.5]]}))
    config = LArTPCConfig(detector=str(path), readout=ReadoutConfig(drift_range=4.0))
    events = [read_out(toy_argon(), config, seed=0, event_id=number)[2] for number in range(20)]
    energy = np.array([float(event.part_energy.sum()) for event in events])
    assert energy.min() < 0.6 * energy.max()
    assert energy.max() == pytest.approx(0.08, rel=0.02)
    for event in events:  # both edges lie outside of the hits between them
        assert (column(event, "x_gap") > -4.0 - 4.0).all()


def test_a_detector_without_gaps_has_no_column_of_them():
    for name in ("dune-fd-vd", "microboone"):
        for event in read_out(toy_argon(), LArTPCConfig(detector=name), seed=0, event_id=0):
            assert "x_gap" not in event.part_feature_names
            assert event.provenance_dict()["scales"] == get_detector(name).scales


def test_views_without_hits_are_events_without_points(tmp_path: Path):
    events = read_out(toy_argon(energy=1e-6), LArTPCConfig(), seed=0, event_id=0)
    assert [event.validate().num_points for event in events] == [0, 0, 0]
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        for event in events:
            writer.write(event)
    assert [event.num_parts for event in EventStore(tmp_path / "store")] == [0, 0, 0]
    assert statistics_of_views(events)["U"]["empty"] == 1


@pytest.mark.parametrize("options", [{"num_events": -1}, {"seed": -1}, {"num_processes": 0}])
def test_impossible_numbers_are_refused(options: dict[str, int]):
    with pytest.raises(ConfigError):
        list(simulate_lartpc(LArTPCConfig(), **({"num_events": 1, "seed": 0} | options)))


def test_the_verb_writes_a_store_and_the_same_views_as_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    settings = ["--set", "generator.num_showers=[1,1]", "--set", "readout.noise_hits=5", "--num-processes", "1"]
    options = ["--events", "2", "--detector", "microboone", "--seed", "3", "--root", "c.root", *settings]
    assert run_main(["simulate", "lartpc", *options]) == 0
    assert "6 views of 2 slices" in capsys.readouterr().out
    stored, read = list(EventStore("events")), list(read_pandora("c.root"))
    for one, other in zip(stored, read, strict=True):
        assert int(one.event_id) == int(other.event_id)
        assert torch.equal(one.part_x, other.part_x)
        assert torch.equal(one.part_point_index, other.part_point_index)
        assert torch.equal(one.share_index, other.share_index)
        assert torch.equal(one.object_pdg, other.object_pdg)
        assert (hit_owners(one) == -1).any()
    assert run_main(["data", "inspect", "events", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["showers"]
    assert found["U"]["views"] == 2
    assert found["W"]["hits_without_truth"] > 0


def test_an_unknown_detector_ends_the_verb_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert run_main(["simulate", "lartpc", "--detector", "microbone"]) == 2
    assert "Did you mean 'microboone'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
