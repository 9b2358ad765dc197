"""The event of tracksters: fields, units, empty events, rotations, and input that is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hitloom.data.endcap_geometry import get_geometry
from hitloom.data.layer_clusters import LayerClusters, Tracksters
from hitloom.data.trackster_event import PART_FEATURES, trackster_event
from hitloom.data.trackster_features import edge_features
from hitloom.data.trackster_graph import candidate_graph
from hitloom.data.trackster_quantities import PcaCleaning
from hitloom.errors import ConfigError, DataError
from trackster_toy import toy_trackster_event, trackster_tables


def test_fields_hold_the_tables_in_mm():
    clusters, tracksters, truth = trackster_tables(1, num_pileup=3)
    event = toy_trackster_event(1, num_pileup=3)
    torch.testing.assert_close(event.pos, 10 * event.columns(["barycenter_x", "barycenter_y", "barycenter_z"]))
    np.testing.assert_allclose(event.part_pos[:, 2].numpy(), 10 * clusters.z, rtol=1e-6)
    np.testing.assert_allclose(event.energy.numpy(), event.columns(["raw_energy"])[:, 0].numpy())
    assert list(event.part_feature_names) == list(PART_FEATURES)
    np.testing.assert_allclose(event.part_x[:, 3].numpy(), clusters.radius, rtol=1e-6)
    np.testing.assert_array_equal(event.part_x[:, 4].numpy(), clusters.scintillator)
    np.testing.assert_array_equal(event.part_layer.numpy(), clusters.layer)
    np.testing.assert_array_equal(event.member_index.numpy(), tracksters.member_index)
    np.testing.assert_array_equal(event.object_id.numpy(), truth.object_id)  # beyond 2^53
    raw = np.bincount(truth.share_index[1], truth.share_fraction * clusters.energy[truth.share_index[0]])
    np.testing.assert_allclose(event.object_raw_energy.numpy(), raw, rtol=1e-5)
    assert event.object_raw_energy.sum().item() == pytest.approx(clusters.energy.sum(), rel=1e-5)


def test_graph_and_its_features_follow_from_the_stored_nodes():
    event = toy_trackster_event(2, num_pileup=3)
    eta, phi, z = event.columns(["barycenter_eta", "barycenter_phi", "barycenter_z"]).T.numpy()
    edges = candidate_graph(eta, phi, z)
    np.testing.assert_array_equal(event.edge_index.numpy(), edges)
    np.testing.assert_allclose(event.edge_attr.numpy(), edge_features(event.x.numpy(), edges).astype(np.float32))


def test_half_a_turn_keeps_graph_truth_and_features_of_edges():
    """Calorimeter defect 9: a shower at phi = pi is one at phi = 0, rotated."""
    clusters, tracksters, truth = trackster_tables(9, num_particles=8)
    half = dataclasses.replace(clusters, x=-clusters.x, y=-clusters.y)
    before, after = (trackster_event(c, tracksters, truth, event_id=0, source="toy") for c in (clusters, half))
    assert torch.equal(before.edge_index, after.edge_index)
    assert before.edge_index.shape[1] > 20
    torch.testing.assert_close(before.edge_attr, after.edge_attr, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(before.edge_y, after.edge_y)


@pytest.mark.parametrize("tables", [{"num_particles": 0}, {"num_particles": 1, "pieces": 1, "num_layers_each": 1}])
def test_no_or_one_trackster_is_an_event_without_edges(tables):
    event = toy_trackster_event(0, skeleton_features=True, **tables)
    assert event.num_points == tables["num_particles"]
    assert event.edge_index.shape == (2, 0)
    assert event.edge_attr.shape == (0, 7)
    assert event.edge_y.shape == (0,)


def test_layer_clusters_without_any_trackster():
    clusters, _, truth = trackster_tables(0)
    none = Tracksters.from_labels(np.full(len(clusters), -1))
    event = trackster_event(clusters, none, truth, event_id=0, source="toy")
    assert (event.num_points, event.num_parts) == (0, len(clusters))
    assert event.x.shape == (0, 30)


def test_without_truth_there_is_none():
    clusters, tracksters, _ = trackster_tables(0)
    event = trackster_event(clusters, tracksters, event_id=3, source="toy")
    assert not event.has_truth
    assert "edge_y" not in event
    assert event.describe() == "toy[event 3]"


def test_geometry_gives_the_layers():
    clusters, tracksters, truth = trackster_tables(0)
    default = trackster_event(clusters, tracksters, truth, event_id=0, source="toy")
    named = trackster_event(clusters, tracksters, truth, event_id=0, source="toy", geometry=get_geometry("hgcal-v17"))
    torch.testing.assert_close(default.x, named.x)


def test_options_that_change_features_are_recorded():
    clusters, tracksters, truth = trackster_tables(0)
    plain = trackster_event(clusters, tracksters, truth, event_id=0, source="toy", provenance={"seed": 1})
    assert plain.provenance_dict() == {"seed": 1, "truth": "SC"}
    other = trackster_event(
        clusters, tracksters, truth, event_id=0, source="toy", cms_compatible=True, cleaning=PcaCleaning()
    )
    assert other.provenance_dict() == {
        "truth": "SC",
        "cms_compatible": True,
        "pca_cleaning": {"layers_before": 10, "layers_after": 10},
    }
    assert not torch.allclose(plain.columns(["EV2"]), other.columns(["EV2"]))


def test_nothing_depends_on_the_order_of_layer_clusters():
    clusters, tracksters, truth = trackster_tables(4, num_pileup=2)
    order = np.random.default_rng(0).permutation(len(clusters))
    place = np.argsort(order)
    shuffled = LayerClusters(**{name: values[order] for name, values in vars(clusters).items()})
    moved = dataclasses.replace(
        tracksters, member_index=np.stack([place[tracksters.member_index[0]], tracksters.member_index[1]])
    )
    shares = dataclasses.replace(truth, share_index=np.stack([place[truth.share_index[0]], truth.share_index[1]]))
    first = trackster_event(clusters, tracksters, truth, event_id=0, source="toy")
    second = trackster_event(shuffled, moved, shares, event_id=0, source="toy")
    for name in ("x", "edge_index", "edge_attr", "edge_y", "object_index", "share_index", "share_fraction"):
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("energy", np.nan, r"toy\[event 0\]: layer clusters: 'energy' of row 2 is nan"),
        ("energy", -1.0, "'energy' of row 2 is -1.0"),
        ("x", np.inf, "'x' of row 2 is inf"),
        ("time", np.nan, "'time' of row 2 is nan"),
    ],
)
def test_impossible_layer_clusters_are_named(name, value, message):
    clusters, tracksters, truth = trackster_tables(0)
    column = getattr(clusters, name).copy()
    column[2] = value
    with pytest.raises(DataError, match=message):
        trackster_event(dataclasses.replace(clusters, **{name: column}), tracksters, truth, event_id=0, source="toy")


def test_rows_outside_their_tables_are_named():
    clusters, tracksters, truth = trackster_tables(0)
    member = tracksters.member_index.copy()
    member[0, 0] = len(clusters)
    bad = dataclasses.replace(tracksters, member_index=member)
    with pytest.raises(DataError, match=f"'member_index' row 0 holds {len(clusters)}; wanted a layer cluster from 0"):
        trackster_event(clusters, bad, truth, event_id=0, source="toy")
    share = truth.share_index.copy()
    share[1, 3] = -1
    with pytest.raises(DataError, match="'share_index' row 1 holds -1; wanted an object"):
        trackster_event(clusters, tracksters, dataclasses.replace(truth, share_index=share), event_id=0, source="toy")
    short = dataclasses.replace(clusters, radius=clusters.radius[:-1])
    with pytest.raises(DataError, match="'radius' has shape"):
        trackster_event(short, tracksters, truth, event_id=0, source="toy")
    with pytest.raises(ConfigError, match="truth 'sim' is unknown"):
        trackster_event(clusters, tracksters, truth, event_id=0, source="toy", truth_type="sim")
