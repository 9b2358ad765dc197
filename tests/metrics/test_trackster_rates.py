"""Official rates against loops over dense scores; splitting, merging, classes, selections, sums and curves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hitloom.data.layer_clusters import Tracksters
from hitloom.data.trackster_event import trackster_event
from hitloom.data.trackster_merge import merge_tracksters
from hitloom.data.trackster_truth import as_calo_particles
from hitloom.errors import DataError
from hitloom.metrics.associations import event_associations, merge_memberships
from hitloom.metrics.curves import Axis
from hitloom.metrics.intervals import clopper_pearson
from hitloom.metrics.trackster_rates import (
    COUNT_DEFINITIONS,
    SPECIES,
    TRACKSTER_RATES,
    ObjectSelection,
    TracksterRates,
    trackster_rows,
)
from trackster_toy import toy_trackster_event, trackster_tables


def oracle(event, labels, selection: ObjectSelection) -> dict[str, dict[str, int]]:
    """Count with dense tables and loops."""
    found = event_associations(event, labels=labels)
    shape = (found.num_tracksters, found.num_objects)
    reco, sim, share, energy = np.ones(shape), np.ones(shape), np.zeros(shape), np.zeros(shape)
    for k, (t, s) in enumerate(found.pair_index.T):
        reco[t, s], sim[t, s] = found.reco_to_sim[k], found.sim_to_reco[k]
        share[t, s], energy[t, s] = found.shared_energy[k] / found.object_energy[s], found.shared_energy[k]
    signal = event.object_is_signal.numpy()
    result = {kind: dict.fromkeys(COUNT_DEFINITIONS, 0) for kind in ("all", "signal", "pileup")}
    for s in range(shape[1]):
        pt, eta = float(event.object_pt[s]), abs(float(event.object_eta[s]))
        inside = selection.min_pt <= pt <= selection.max_pt and eta < selection.max_abs_eta
        if not (inside and found.object_energy[s] > 0):
            continue
        for kind in ("all", "signal" if signal[s] else "pileup"):
            result[kind]["num_objects"] += 1
            result[kind]["num_efficient"] += int((share[:, s] >= 0.5).any())
            result[kind]["num_pure"] += int((sim[:, s] < 0.2).any())
            result[kind]["num_duplicate"] += int((sim[:, s] < 0.2).sum() > 1)
            result[kind]["num_split"] += int((share[:, s] >= 0.1).sum() > 1)
    for t in range(shape[0]):
        kinds = ["all"]
        if shape[1] and energy[t].max() > 0:
            kinds.append("signal" if signal[np.argmax(energy[t])] else "pileup")
        for kind in kinds:
            result[kind]["num_tracksters"] += 1
            result[kind]["num_fake"] += int(not (reco[t] < 0.6).any())
            result[kind]["num_merged"] += int((reco[t] < 0.6).sum() > 1)
    return result


@pytest.mark.parametrize("truth", ["SC", "CP"])
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_counts_equal_loops_over_dense_scores(seed, linked, truth):
    event = toy_trackster_event(seed, num_pileup=8, shared=0.4)
    labels = np.random.default_rng(seed).permutation(event.num_points) // 3 if linked else None
    event = as_calo_particles(event) if truth == "CP" else event
    selection = ObjectSelection(min_pt=1.0, max_pt=30.0, max_abs_eta=2.6)
    found = TracksterRates(selection=selection).add(event, labels)
    assert found == oracle(event, labels, selection)
    assert 0 < found["all"]["num_objects"] < event.num_objects


def test_a_perfect_linking():
    """Each object in one trackster of its own: everything found, nothing split, fake or merged."""
    clusters, _, truth = trackster_tables(2, num_particles=6, shared=0.0)
    whole = Tracksters.from_labels(truth.share_index[1][np.argsort(truth.share_index[0])])
    event = trackster_event(clusters, whole, truth, event_id=0, source="toy")
    rates = TracksterRates()
    rates.add(event)
    found = {name: entry["value"] for name, entry in rates.result()["signal"].items()}
    assert found == {"efficiency": 1, "purity": 1, "duplicate": 0, "split": 0, "fake": 0, "merge": 0}
    assert rates.result()["pileup"]["efficiency"]["value"] is None


def test_a_particle_in_two_halves_is_split_although_the_duplicate_rate_is_blind():
    """Calorimeter defect 5."""
    clusters, _, truth = trackster_tables(1, num_particles=1, pieces=1, shared=0.0)
    half = np.zeros(len(clusters), dtype=np.int64)
    half[np.cumsum(clusters.energy) > clusters.energy.sum() / 2] = 1
    event = trackster_event(clusters, Tracksters.from_labels(half), truth, event_id=0, source="toy")
    rates = TracksterRates()
    rates.add(event)
    found = rates.result()["all"]
    assert found["split"]["value"] == 1.0
    assert found["duplicate"]["value"] == 0.0
    joined = TracksterRates()
    joined.add(event, [0, 0])
    assert joined.result()["all"]["split"]["value"] == 0.0
    assert joined.result()["all"]["efficiency"]["value"] == 1.0


def test_more_pieces_never_lower_the_split_rate():
    rates = []
    for pieces in (1, 2, 4, 8):
        total = TracksterRates()
        for seed in range(3):
            total.add(toy_trackster_event(seed, pieces=pieces, shared=0.0))
        rates.append(total.result()["all"]["split"]["value"])
    assert rates == sorted(rates)
    assert rates[0] == 0
    assert rates[-1] == 1


def test_labels_equal_the_merged_event():
    """Scores of merged memberships are those of an event made anew from the merged tracksters."""
    clusters, tracksters, truth = trackster_tables(3, num_pileup=6, shared=0.4)
    event = trackster_event(clusters, tracksters, truth, event_id=0, source="toy")
    labels = np.random.default_rng(0).integers(0, 12, event.num_points)
    labels = np.unique(labels, return_inverse=True)[1]
    index, fraction = merge_memberships(tracksters.member_index, tracksters.member_fraction, labels)
    merged = Tracksters(num_tracksters=int(labels.max()) + 1, member_index=index, member_fraction=fraction)
    again = trackster_event(clusters, merged, truth, event_id=0, source="toy")
    before, after = trackster_rows(event, labels=labels), trackster_rows(again)
    for name, rows in before.counts.items():
        np.testing.assert_array_equal(rows, after.counts[name], err_msg=name)
    for name, values in before.tracksters.items():
        np.testing.assert_allclose(values, after.tracksters[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(after.tracksters["eta"], again.columns(["barycenter_eta"])[:, 0].numpy(), rtol=1e-4)


@pytest.mark.parametrize("truth", ["SC", "CP"])
def test_labels_equal_the_event_that_merging_makes(truth):
    event = toy_trackster_event(6, num_pileup=6, shared=0.3, truth=truth)
    labels = torch.arange(event.num_points) // 4
    merged = merge_tracksters(event, labels)
    assert TracksterRates().add(event, labels) == TracksterRates().add(merged)


def test_trackster_of_nothing_true_is_fake_and_of_no_class():
    clusters, tracksters, truth = trackster_tables(0, num_particles=3, shared=0.0)
    mine = truth.share_index[1] != 2
    less = dataclasses.replace(truth, share_index=truth.share_index[:, mine], share_fraction=truth.share_fraction[mine])
    event = trackster_event(clusters, tracksters, less, event_id=0, source="toy")
    found = TracksterRates().add(event)
    assert found["all"]["num_fake"] == 3
    assert found["signal"]["num_fake"] == found["pileup"]["num_fake"] == 0
    assert found["all"]["num_objects"] == 2  # the third left nothing


def test_signal_and_pileup_add_up_and_labels_of_no_trackster_count_for_none():
    event = toy_trackster_event(4, num_pileup=6)
    found = TracksterRates().add(event)
    for name in COUNT_DEFINITIONS:
        assert found["signal"][name] + found["pileup"][name] <= found["all"][name]
    assert found["signal"]["num_objects"] + found["pileup"]["num_objects"] == found["all"]["num_objects"]
    gaps = 5 * np.arange(event.num_points)
    assert TracksterRates().add(event, gaps) == found


def test_sums_over_events_intervals_and_definitions():
    rates = TracksterRates(num_resamples=100)
    parts = [rates.add(toy_trackster_event(seed, num_pileup=4)) for seed in range(4)]
    assert rates.num_events == 4
    result = rates.result()
    for kind, entries in result.items():
        for name, (top, bottom) in TRACKSTER_RATES.items():
            numbers = [sum(part[kind][count] for part in parts) for count in (top, bottom)]
            assert [entries[name]["numerator"], entries[name]["denominator"]] == numbers
            assert entries[name]["value"] == pytest.approx(numbers[0] / numbers[1])
            assert entries[name]["interval"] == pytest.approx([float(end) for end in clopper_pearson(*numbers)])
            assert entries[name]["event_interval"][0] <= entries[name]["value"] <= entries[name]["event_interval"][1]
            assert COUNT_DEFINITIONS[top] in entries[name]["definition"]


def test_species_follow_codes_and_charges():
    event = toy_trackster_event(3, num_particles=8, num_pileup=4)
    event.object_pdg = torch.tensor([22, -11, 13, 111, 211, 130, 0, 2212, 2112, 22, 22, 321])
    event.object_charge = torch.tensor([0.0, 1, -1, 0, 1, 0, 2, 1, 0, 0, 0, 1])
    rows = trackster_rows(event)
    names = [SPECIES[k] for k in rows.object_species]
    assert names[:7] == ["photon", "electron", "muon", "neutral_pion", "charged_hadron", "neutral_hadron", "unknown"]
    assert names[7:] == ["charged_hadron", "neutral_hadron", "photon", "photon", "charged_hadron"]
    rates = TracksterRates(selection=ObjectSelection(min_pt=0.0))
    rates.add(event)
    found = rates.by_species()
    assert found["photon"]["efficiency"]["denominator"] == 3
    assert set(found) == set(SPECIES)
    everything = rates.result()["all"]
    for rate in TRACKSTER_RATES:
        assert sum(found[kind][rate]["denominator"] for kind in SPECIES) == everything[rate]["denominator"]
        assert sum(found[kind][rate]["numerator"] for kind in SPECIES) == everything[rate]["numerator"]
    del event["object_pdg"]
    other = TracksterRates()
    other.add(event)
    assert set(other.by_species()) == {"unknown"}


def test_curves_hold_every_object_and_trackster():
    axes = (Axis(name="energy", edges=(0.0, 5.0, 50.0), unit="GeV"), Axis(name="eta", edges=(-2.0, 0.0, 2.0)))
    rates = TracksterRates(axes=axes, selection=ObjectSelection(min_pt=0.0))
    for seed in range(3):
        rates.add(toy_trackster_event(seed, num_pileup=4))
    totals = rates.result()
    curves = rates.curves()
    for kind, by_axis in curves.items():
        for name in ("energy", "eta"):
            for rate, entry in by_axis[name]["rates"].items():
                for side in ("numerator", "denominator"):
                    inside = sum(entry[side]) + sum(part[side] for part in entry["outside"].values())
                    assert inside == totals[kind][rate][side]
    energies = np.concatenate([toy_trackster_event(seed, num_pileup=4).object_energy.numpy() for seed in range(3)])
    counted = curves["all"]["energy"]["rates"]["efficiency"]
    assert counted["denominator"] == [int((energies < 5).sum()), int(((energies >= 5) & (energies < 50)).sum())]
    assert counted["of"] == "object"
    assert curves["all"]["eta"]["rates"]["fake"]["of"] == "trackster"


def test_events_without_layer_clusters_have_no_official_rates():
    event = toy_trackster_event(0)
    for name in [name for name in event.to_dict() if name.startswith(("part_", "member_"))]:
        del event[name]
    with pytest.raises(DataError, match="is needed for the official scores"):
        TracksterRates().add(event)
    event = toy_trackster_event(0)
    del event["object_pt"]
    with pytest.raises(DataError, match="labels of shape"):
        TracksterRates().add(toy_trackster_event(0), [0, 1])
    with pytest.raises(DataError, match="'object_pt' is needed for the official rates"):
        TracksterRates().add(event)


def test_empty_event():
    found = TracksterRates().add(toy_trackster_event(0, num_particles=0))
    assert set(found["all"].values()) == {0}
