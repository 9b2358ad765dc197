"""Merged tracksters: energy, memberships, truth and edges. N tracksters, M layer clusters, V memberships."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.layer_clusters import Tracksters
from hitloom.data.trackster_event import as_calo_particles, trackster_event
from hitloom.data.trackster_merge import merge_tracksters
from hitloom.errors import DataError
from hitloom.event import Event
from trackster_toy import toy_trackster_event, trackster_tables

COMPUTED = ("x", "pos", "energy", "time", "edge_attr", "edge_y", "match_score", "match_energy", "share_fraction")


def without_clusters(event: Event) -> Event:
    """Return the event as a file of layout A has it."""
    bare = event.clone()
    for name in list(bare.to_dict()):
        if name.startswith(("part_", "member_")):
            del bare[name]
    return bare


def column(event, name):
    return event.columns([name])[:, 0].double().numpy()


@given(st.integers(0, 50), st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_energy_is_neither_lost_nor_counted_twice(seed, num_groups):
    event = toy_trackster_event(seed, num_pileup=3, shared=0.4)
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, num_groups, event.num_points))
    merged = merge_tracksters(event, labels)
    names, place = labels.unique(return_inverse=True)
    wanted = torch.zeros(len(names), dtype=torch.float64).index_add(0, place, event.energy.double())
    np.testing.assert_allclose(merged.energy, wanted, rtol=1e-5)
    held, before = torch.zeros(event.num_parts), torch.zeros(event.num_parts)
    held.index_add_(0, merged.member_index[0], merged.member_fraction)
    before.index_add_(0, event.member_index[0], event.member_fraction)
    torch.testing.assert_close(held, before)
    assert not (merged.member_index.unique(dim=1).shape[1] < merged.member_index.shape[1])
    bare = merge_tracksters(without_clusters(event), labels)
    np.testing.assert_allclose(bare.energy, wanted, rtol=1e-5)


def test_merging_nothing_changes_nothing():
    event = toy_trackster_event(2, num_pileup=3, skeleton_features=True)
    for before in (event, as_calo_particles(event)):
        merged = merge_tracksters(before, torch.arange(event.num_points))
        for name in COMPUTED:
            np.testing.assert_allclose(merged[name], before[name], rtol=1e-4, atol=1e-3, err_msg=name)
        for name in ("edge_index", "object_index", "share_index", "object_id", "part_id"):
            assert torch.equal(merged[name], before[name]), name
        for name in ("part_pos", "part_x", "part_energy", "part_share_fraction", "object_energy"):
            assert torch.equal(merged[name], before[name]), name
        members = [set(map(tuple, item.member_index.T.tolist())) for item in (merged, before)]
        assert members[0] == members[1]
        provenance = merged.provenance_dict()
        assert provenance == before.provenance_dict() | {"merged_from": event.num_points}


def test_everything_is_that_of_the_union():
    """Merging equals making the event from the merged table in the first place."""
    clusters, tracksters, truth = trackster_tables(4, shared=0.0, num_pileup=3)
    event = trackster_event(clusters, tracksters, truth, event_id=4, source="toy")
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 5, event.num_points))
    index = tracksters.member_index
    union = Tracksters(
        num_tracksters=5,
        member_index=np.stack([index[0], labels.numpy()[index[1]]]),
        member_fraction=tracksters.member_fraction,
    )
    wanted = trackster_event(clusters, union, truth, event_id=4, source="toy")
    merged = merge_tracksters(event, labels)
    for name in (*wanted.feature_names[:18], *wanted.feature_names[24:]):
        np.testing.assert_allclose(column(merged, name), column(wanted, name), rtol=2e-4, atol=2e-3, err_msg=name)
    for name in ("edge_index", "object_index"):
        assert torch.equal(merged[name], wanted[name])
    np.testing.assert_allclose(merged.match_score, wanted.match_score, atol=1e-5)
    np.testing.assert_allclose(merged.edge_y, wanted.edge_y, atol=1e-5)


def test_true_groups_match_their_particles():
    """Joined by the particle that made them, tracksters become one match each, of score near 0."""
    event = toy_trackster_event(5, shared=0.0, num_particles=4)
    owner = event.object_index
    assert (owner >= 0).all()
    merged = merge_tracksters(event, owner)
    assert merged.object_index.tolist() == owner.unique().tolist()
    assert (merged.match_score < 0.01).all()


def test_probabilities_are_weighted_by_energy():
    event = toy_trackster_event(6)
    labels = torch.zeros(event.num_points, dtype=torch.int64)
    for source in (event, without_clusters(event)):
        merged = merge_tracksters(source, labels)
        for name in ("photon_prob", "charged_hadron_prob"):
            wanted = np.average(column(event, name), weights=event.energy.double())
            assert column(merged, name)[0] == pytest.approx(wanted, rel=1e-5)


def test_labels_may_leave_gaps_and_leave_out():
    event = toy_trackster_event(7)
    labels = torch.full((event.num_points,), -1)
    labels[3], labels[5], labels[6] = 40, 7, 40
    for source in (event, without_clusters(event)):
        merged = merge_tracksters(source, labels)
        assert merged.num_points == 2
        assert merged.energy[0].item() == pytest.approx(event.energy[5].item(), rel=1e-5)
        none = merge_tracksters(source, torch.full((event.num_points,), -1))
        assert (none.num_points, none.edge_index.shape[1]) == (0, 0)


def test_without_layer_clusters_means_are_exact_and_the_rest_is_near():
    event = toy_trackster_event(8, shared=0.0, missing_time=0.0)
    labels = torch.from_numpy(np.random.default_rng(8).integers(0, 6, event.num_points))
    exact, estimate = merge_tracksters(event, labels), merge_tracksters(without_clusters(event), labels)
    names = ("barycenter_x", "barycenter_y", "barycenter_z", "barycenter_eta", "barycenter_phi", "num_LCs", "num_hits")
    for name in (*names, "raw_energy", "raw_em_energy", "z_min", "z_max", "LC_density", "trackster_density", "time"):
        np.testing.assert_allclose(column(estimate, name), column(exact, name), rtol=1e-4, atol=1e-3, err_msg=name)
    wide = column(exact, "EV1") > 100
    ratio = column(estimate, "EV1")[wide] / column(exact, "EV1")[wide]
    assert wide.any()
    assert ((ratio > 0.5) & (ratio < 2)).all()
    axes = [f"eVector0_{k}" for k in "xyz"]
    aligned = (estimate.columns(axes) * exact.columns(axes)).sum(1)[torch.from_numpy(wide)]
    assert (aligned > 0.95).all()
    assert torch.equal(estimate.edge_index, exact.edge_index)
    both = (estimate.object_index >= 0) & (exact.object_index >= 0)
    assert torch.equal(estimate.object_index[both], exact.object_index[both])


def test_skeleton_features_stay():
    event = toy_trackster_event(9, skeleton_features=True)
    merged = merge_tracksters(event, torch.arange(event.num_points) // 2)
    assert merged.edge_attr.shape[1] == 7
    assert merged.edge_feature_names == event.edge_feature_names


def test_ids_stay_exact():
    event = toy_trackster_event(10)
    event.part_id = event.part_id + 2**60
    merged = merge_tracksters(event, torch.zeros(event.num_points, dtype=torch.int64))
    assert torch.equal(merged.part_id, event.part_id)
    assert int(merged.object_id.max()) > 2**53
    assert json.loads(merged.provenance)["truth"] == "SC"


@pytest.mark.parametrize(
    ("labels", "message"),
    [(torch.zeros(3, dtype=torch.int64), "one int64 for each"), (None, "one int64"), (-2, "label -2 came")],
)
def test_bad_labels(labels, message):
    event = toy_trackster_event(11)
    if labels is None:
        labels = torch.zeros(event.num_points)
    if isinstance(labels, int):
        labels = torch.full((event.num_points,), labels)
    with pytest.raises(DataError, match=message):
        merge_tracksters(event, labels)


def test_events_without_tracksters_are_refused():
    event = Event(pos=torch.zeros(2, 3), event_id=3, source="hits")
    with pytest.raises(DataError, match=r"hits\[event 3\]: field 'energy'"):
        merge_tracksters(event, torch.zeros(2, dtype=torch.int64))
