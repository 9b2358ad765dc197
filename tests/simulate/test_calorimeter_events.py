"""Whole simulated events of the calorimeter: energy, truth, symmetry, seeds, envelope, fragments."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from calorimeter_toy import QUIET, energy_by_owner, gun, particles_of, settings, steps_of
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hitloom.data.endcap_geometry import get_geometry
from hitloom.errors import ConfigError
from hitloom.metrics.trackster_rates import TracksterRates
from hitloom.simulate.calorimeter import simulate_calorimeter, simulate_event, simulate_particles
from hitloom.simulate.calorimeter_clusters import make_layer_clusters
from hitloom.simulate.calorimeter_pid import id_probabilities
from hitloom.simulate.particles import ParticleTable

GEOMETRY = get_geometry()
PIONS = settings(gun={"num_particles": 3, "energy": [20.0, 200.0]}, upstream_interactions=0.3)


@pytest.fixture(scope="module")
def event():
    return simulate_event(PIONS, seed=11, event_id=4)


@pytest.fixture(scope="module")
def steps():
    return steps_of(settings(**gun("pion", 80.0, 6)))


def same(one, other) -> bool:
    left, right = one.to_dict(), other.to_dict()
    return left.keys() == right.keys() and all(
        torch.equal(left[k], right[k]) if isinstance(left[k], torch.Tensor) else left[k] == right[k] for k in left
    )


def test_contract(event):
    assert (event.source, event.event_id) == ("simulate-calorimeter", 4)
    record = event.provenance_dict()
    assert record["seed"] == 11
    assert "toy" in record["note"]
    assert record["config"]["gun"]["energy"] == [20.0, 200.0]
    assert record["truth"] == "SC"
    assert set(record["versions"]) == {"hitloom", "pythia8mc"}
    assert json.loads(event.provenance) == record
    assert event.num_points > 10
    assert event.object_is_signal.all()
    assert (event.object_parent == event.object_id).any()
    assert (event.object_parent != event.object_id).any()  # products of interactions on the way


def test_stored_angles_are_those_of_the_places(event):
    """Also in the backward endcap (eta from signed z)."""
    x, y, z, eta, phi = (event.x[:, i].double() for i in range(5))
    assert torch.allclose(torch.asinh(z / torch.hypot(x, y)), eta, atol=1e-5)
    assert torch.allclose(torch.atan2(y, x), phi, atol=1e-5)
    assert (z < 0).any()
    assert (z > 0).any()
    assert torch.allclose(event.pos.double() / 10, event.x[:, :3].double(), atol=1e-3)


def test_same_numbers_same_bytes(event):
    assert same(event, simulate_event(PIONS, seed=11, event_id=4))
    assert not same(event, simulate_event(PIONS, seed=12, event_id=4))


def test_number_of_processes_and_events_before_do_not_matter():
    config = settings(**gun("pion", 20.0, 2))
    alone = list(simulate_calorimeter(config, num_events=2, seed=5, first_event_id=7))
    parallel = list(simulate_calorimeter(config, num_events=2, seed=5, first_event_id=7, num_processes=2))
    assert [one.event_id for one in parallel] == [7, 8]
    assert all(same(one, other) for one, other in zip(alone, parallel, strict=True))
    assert same(alone[1], simulate_event(config, seed=5, event_id=8))


def test_order_of_particles_does_not_matter(steps):
    config = settings(**gun("pion", 80.0, 6))
    for order in (lambda num: np.arange(num)[::-1], np.random.default_rng(0).permutation):
        other = steps_of(config, order=order)
        assert np.array_equal(other.clusters.energy, steps.clusters.energy)
        assert np.array_equal(other.tracksters.member_index, steps.tracksters.member_index)
        assert np.array_equal(other.truth.share_fraction, steps.truth.share_fraction)
        assert np.array_equal(other.truth.object_id, steps.truth.object_id)


def test_mirrored_particles_make_mirrored_events():
    """Without noise, which is drawn for the cells; ids, hence showers, stay."""
    config = settings(**gun("pion", 60.0, 6), response=QUIET)
    table = particles_of(config)
    mirrored = ParticleTable(**{**vars(table), "z": -table.z, "pz": -table.pz})
    one, other = (simulate_particles(each, config, seed=1, event_id=0) for each in (table, mirrored))
    assert len(one.clusters) == len(other.clusters)

    def rows(found, sign):
        clusters = found.clusters
        label = np.full(len(clusters), -1)
        label[found.tracksters.member_index[0]] = found.tracksters.member_index[1]
        sizes = np.append(np.bincount(label[label >= 0]), 0)[label]
        columns = np.stack([sign * clusters.z, clusters.x, clusters.y, clusters.energy, sizes], axis=1)
        return columns[np.lexsort(columns.T[::-1].round(6))]

    assert rows(other, -1) == pytest.approx(rows(one, 1), abs=1e-6)
    assert one.tracksters.num_tracksters == other.tracksters.num_tracksters


def test_a_cell_is_in_one_cluster_and_energy_is_kept(steps):
    cells, labels = steps.cells, steps.clustered.labels
    held = labels >= 0
    energy = np.bincount(labels[held], weights=cells.energy[held], minlength=len(steps.clusters))
    assert energy == pytest.approx(steps.clusters.energy)
    assert np.bincount(labels[held]) == pytest.approx(steps.clusters.num_hits)
    first = np.unique(labels[held], return_index=True)[1]
    assert np.array_equal(cells.layer[held][first], steps.clusters.layer)
    for name in ("layer", "side"):  # all cells of a cluster on one layer of one endcap
        assert np.array_equal(getattr(cells, name)[held], getattr(cells, name)[held][first][labels[held]])
    tiles = cells.region == 3
    assert np.array_equal(tiles[held], steps.clusters.scintillator[labels[held]])
    owners = np.bincount(
        cells.owner, weights=cells.owner_energy * held[cells.owner_cell], minlength=len(steps.entering)
    )
    assert energy_by_owner(steps) == pytest.approx(owners)


@hypothesis_settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_shares_of_a_cluster_sum_to_one_without_noise(seed, noisy):
    response = {} if noisy else QUIET
    made = steps_of(settings(**gun("pion", 15.0, 3, group_size=3, delta=2.0), response=response), seed=seed)
    total = np.bincount(
        made.clustered.share_index[0], weights=made.clustered.share_fraction, minlength=len(made.clusters)
    )
    assert (total <= 1 + 1e-9).all()
    if not noisy:
        assert total == pytest.approx(1.0)
    pairs = np.unique(made.clustered.share_index, axis=1)
    assert pairs.shape == made.clustered.share_index.shape
    assert (made.clustered.share_fraction > 0).all()


def test_no_layer_cluster_outside_the_detector():
    made = steps_of(settings(gun={"num_particles": 20, "energy": [5.0, 300.0], "eta": [1.5, 3.0]}))
    clusters = made.clusters
    radius, row = np.hypot(clusters.x, clusters.y), clusters.layer - 1
    cell = np.where(clusters.scintillator, 0.025 * radius, 0.75)
    assert (radius >= GEOMETRY.inner_radius[row] - cell).all()
    assert (radius <= GEOMETRY.outer_radius[row] + cell).all()
    assert np.array_equal(np.abs(clusters.z), GEOMETRY.z[row])
    assert (np.abs(clusters.z) >= GEOMETRY.front_z).all()
    assert np.isfinite(clusters.energy).all()
    assert (clusters.energy > 0).all()
    assert clusters.scintillator.any()
    assert (~clusters.scintillator | (clusters.layer >= 34)).all()


@pytest.mark.parametrize(("species", "energy", "tolerance"), [("photon", 50.0, 0.02), ("pion", 100.0, 0.08)])
def test_mean_raw_energy_is_the_true_one(species, energy, tolerance):
    """Photons close the electromagnetic section, pions all of them, with one factor on both hadronic sections."""
    made = [steps_of(settings(**gun(species, energy, 40)), event_id=event_id) for event_id in range(2)]
    raw = np.concatenate([energy_by_owner(one) for one in made])
    assert raw.mean() / energy == pytest.approx(1.0, abs=tolerance)
    em = np.concatenate([one.clusters.energy[one.clusters.layer <= 26] for one in made]).sum() / raw.sum()
    assert em == pytest.approx(1.0, abs=0.02) if species == "photon" else 0.15 < em < 0.4


def test_hadronic_sections_alone_close_for_showers_that_start_there():
    """Neutral hadrons that leave little in front: each section's factor is right by itself."""
    made = steps_of(settings(**gun("neutral_hadron", 100.0, 120)))
    cluster, owner = made.clustered.share_index
    energy = made.clusters.energy[cluster] * made.clustered.share_fraction
    section = GEOMETRY.section_at(made.clusters.layer[cluster])
    by_section = np.zeros((len(made.entering), 3))
    np.add.at(by_section, (owner, section), energy)
    late = by_section[:, 0] < 5.0
    mixed = by_section[:, 2] > 3 * by_section[:, 1]
    assert late.sum() > 20
    assert by_section[late & ~mixed].sum(1).mean() == pytest.approx(100.0, rel=0.12)
    assert by_section[late & mixed].sum(1).mean() == pytest.approx(100.0, rel=0.25)  # some leave at the back


def test_a_photon_is_one_dominant_trackster():
    event = simulate_event(settings(**gun("photon", 60.0, 8, eta=[1.8, 2.4])), seed=2, event_id=0)
    owner = event.object_index.numpy()
    largest = [event.energy.numpy()[owner == row].max() for row in range(event.num_objects)]
    assert np.median(largest) > 0.85 * 60.0
    rates = TracksterRates()
    rates.add(event)
    assert rates.result()["all"]["efficiency"]["value"] > 0.9


def fragments(config):
    """Split rate, and tracksters per event."""
    rates = TracksterRates()
    for one in simulate_calorimeter(config, num_events=4, seed=3):
        rates.add(one)
    return rates.result()["all"]["split"]["value"], rates.counts()["num_tracksters"].mean()


def test_split_rate_grows_with_fragmentation():
    """The same layer clusters, gathered over 4 cm and over 1.8 cm."""
    coarse, fine = (
        fragments(settings(**gun("pion", 60.0, 12), clusters={"preset": preset})) for preset in ("oldest", "recent")
    )
    assert fine[0] > coarse[0] + 0.1
    assert fine[1] > coarse[1]


def test_wider_showers_make_more_tracksters():
    narrow, wide = (
        fragments(settings(**gun("pion", 60.0, 12), shower={"transverse_momentum": pt})) for pt in (0.02, 0.6)
    )
    assert wide[1] > 1.5 * narrow[1]


def test_pileup_leaves_the_signal_as_it_is():
    pytest.importorskip("pythia8mc")
    quiet = settings(**gun("pion", 50.0, 2))
    busy = quiet.model_copy(update={"pileup": 3.0})
    one, other = steps_of(quiet), steps_of(busy)
    assert len(other.entering) > len(one.entering)
    rows = np.flatnonzero(other.entering.table.vertex == 1)
    assert np.array_equal(other.entering.ids[rows], one.entering.ids)
    mine = np.isin(other.spots.particle, rows)
    assert np.array_equal(other.spots.energy[mine], one.spots.energy)
    assert np.array_equal(np.flatnonzero(other.truth.is_signal), np.arange(len(rows)))
    assert other.truth.num_objects > len(rows)
    assert set(np.abs(other.entering.pdg[len(rows) :]).tolist()) >= {22, 211}


def test_events_of_collisions():
    pytest.importorskip("pythia8mc")
    events = list(simulate_calorimeter(settings(process="minbias"), num_events=5, seed=1))
    eta = torch.cat([event.object_eta for event in events])
    assert 20 < len(eta) < 400
    assert (eta.abs() > 1.2).all()  # a displaced vertex may look forward from farther back
    assert (eta > 0).any()
    assert (eta < 0).any()
    assert all(event.object_is_signal.all() for event in events)
    codes = set(torch.cat([event.object_pdg for event in events]).abs().tolist())
    assert codes >= {22, 211}
    assert not codes & {12, 14, 16}


def test_products_share_their_particle_in_the_other_truth():
    config = settings(**gun("neutral_pion", 100.0, 3))
    fine, coarse = (
        simulate_event(config.model_copy(update={"truth": name}), seed=1, event_id=0) for name in ("SC", "CP")
    )
    assert (fine.num_objects, coarse.num_objects) == (6, 3)
    assert coarse.provenance_dict()["truth"] == "CP"
    assert torch.equal(fine.part_energy, coarse.part_energy)
    assert float(coarse.object_raw_energy.sum()) == pytest.approx(float(fine.object_raw_energy.sum()), rel=1e-4)
    assert set(coarse.object_id.tolist()) == set(fine.object_parent.tolist())


def test_no_particles_no_clusters_no_tracksters():
    nothing = settings(gun={"num_particles": 0})
    event = simulate_event(nothing, seed=1, event_id=0)
    assert (event.num_points, event.num_objects) == (0, 0)
    assert event.edge_index.shape == (2, 0)
    silent = simulate_event(settings(gun={"num_particles": 0}, response=QUIET), seed=1, event_id=0)
    assert (silent.num_points, silent.num_parts) == (0, 0)


def test_particles_without_tracksters():
    event = simulate_event(settings(**gun("muon", 20.0, 2), response={"noise": 0.0}), seed=1, event_id=0)
    assert event.num_objects == 2
    assert event.num_parts > 10
    assert event.num_points <= 2


def test_times_of_layer_clusters(steps):
    clusters = steps.clusters
    timed = clusters.time > -90
    assert 0.02 < timed.mean() < 0.9
    assert (clusters.time_error[~timed] == -1).all()
    assert (clusters.time_error[timed] > 0).all()
    assert np.quantile(clusters.time[timed], 0.1) == pytest.approx(0.0, abs=0.1)  # light, and slow neutrons later
    assert not timed[clusters.num_hits < 3].any()
    config = settings(**gun("pion", 80.0, 6), response={"missing_time": 1.0})
    assert (make_layer_clusters(steps.cells, config=config, seed=(1, 0)).clusters.time == -99).all()


def test_probabilities_of_identification(steps):
    values = id_probabilities(steps.clusters, steps.tracksters, geometry=GEOMETRY)
    assert values.shape == (steps.tracksters.num_tracksters, 8)
    assert values.sum(1) == pytest.approx(1.0)
    photons = steps_of(settings(**gun("photon", 60.0, 6)))
    mean = {}
    for name, made in (("photon", photons), ("pion", steps)):
        owner = made.tracksters.member_index[1]
        energy = np.bincount(owner, weights=made.clusters.energy[made.tracksters.member_index[0]])
        mean[name] = np.average(
            id_probabilities(made.clusters, made.tracksters, geometry=GEOMETRY), weights=energy, axis=0
        )
    assert mean["photon"][:2].sum() > 0.6
    assert mean["pion"][:2].sum() < 0.5
    assert mean["pion"][4] > mean["photon"][4]
    empty = replace(
        steps.tracksters, num_tracksters=0, member_index=np.zeros((2, 0), np.int64), member_fraction=np.zeros(0)
    )
    assert id_probabilities(steps.clusters, empty, geometry=GEOMETRY).shape == (0, 8)


def test_numbers_that_cannot_be():
    with pytest.raises(ConfigError, match="seed"):
        simulate_event(PIONS, seed=-1, event_id=0)
    with pytest.raises(ConfigError, match="num_processes"):
        simulate_calorimeter(PIONS, num_events=1, seed=0, num_processes=0)
    with pytest.raises(ConfigError, match="hgcal-v17"):
        simulate_event(settings(geometry="hgcal-v71"), seed=0, event_id=0)
    with pytest.raises(ConfigError, match=r"gun\.energy|energy must be a range"):
        settings(gun={"energy": [5.0, 1.0]})
    with pytest.raises(ConfigError, match="species"):
        settings(gun={"species": ["pions"]})
