"""Features of tracksters and edges: names, order and values; the seven features of an edge against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, SKELETON_EDGE_FEATURES, edge_features
from hitloom.data.trackster_quantities import trackster_quantities
from trackster_toy import toy_trackster_event, trackster_tables

CONTRACT = [
    "barycenter_x",
    "barycenter_y",
    "barycenter_z",
    "barycenter_eta",
    "barycenter_phi",
    "eVector0_x",
    "eVector0_y",
    "eVector0_z",
    "EV1",
    "EV2",
    "EV3",
    "sigmaPCA1",
    "sigmaPCA2",
    "sigmaPCA3",
    "num_LCs",
    "num_hits",
    "raw_energy",
    "raw_em_energy",
    "photon_prob",
    "electron_prob",
    "muon_prob",
    "neutral_pion_prob",
    "charged_hadron_prob",
    "neutral_hadron_prob",
    "z_min",
    "z_max",
    "LC_density",
    "trackster_density",
    "time",
]


def test_node_features_in_contract_order():
    assert list(NODE_FEATURES) == CONTRACT
    event = toy_trackster_event(1)
    clusters, tracksters, _ = trackster_tables(1)
    q = trackster_quantities(clusters, tracksters)
    assert list(event.feature_names) == [*CONTRACT, "time_error"]
    wanted = {
        "barycenter_y": q.barycentre[:, 1],
        "barycenter_eta": q.eta,
        "eVector0_z": q.axes[:, 0, 2],
        "EV2": q.eigenvalues[:, 1],
        "sigmaPCA3": q.sigma[:, 2],
        "num_hits": q.num_hits,
        "raw_em_energy": q.raw_em_energy,
        "neutral_hadron_prob": tracksters.id_probabilities[:, 5],
        "z_max": q.z_max,
        "LC_density": q.cluster_density,
        "time": q.time,
        "time_error": q.time_error,
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(event.columns([name])[:, 0].numpy(), values, rtol=1e-6, err_msg=name)


def test_edge_features_equal_the_definitions():
    event = toy_trackster_event(2, num_pileup=4)
    assert list(event.edge_feature_names) == list(EDGE_FEATURES)
    column = {name: event.columns([name])[:, 0].double().numpy() for name in NODE_FEATURES}
    for (i, j), row in zip(event.edge_index.T.tolist(), event.edge_attr.tolist(), strict=True):
        axes = [np.array([column[f"eVector0_{k}"][n] for k in "xyz"]) for n in (i, j)]
        wanted = [
            abs(column["raw_energy"][i] - column["raw_energy"][j]),
            abs(column["barycenter_z"][i] - column["barycenter_z"][j]),
            np.sqrt(sum((column[f"barycenter_{k}"][i] - column[f"barycenter_{k}"][j]) ** 2 for k in "xy")),
            np.arctan2(np.linalg.norm(np.cross(*axes)), axes[0] @ axes[1]),
            abs(column["time"][i] - column["time"][j]),
        ]
        assert row == pytest.approx(wanted, rel=1e-4, abs=1e-3)


def test_angle_of_equal_axes_is_zero_although_the_product_rounds_above_one():
    """Linking section 11 (d): the argument of acos is clipped."""
    axis = np.array([0.6, 0.0, 0.8]) * (1 + 1e-7)
    nodes = np.zeros((3, 29))
    nodes[:, 5:8] = [axis, axis, -axis]
    angles = edge_features(nodes, np.array([[0, 0], [1, 2]]))[:, 3]
    assert angles.tolist() == [0.0, np.pi]


def test_seven_features_equal_brute_force():
    """Linking defect 11: smallest and largest distance of layer clusters, for every edge."""
    event = toy_trackster_event(4, num_pileup=4, skeleton_features=True)
    assert list(event.edge_feature_names) == list(SKELETON_EDGE_FEATURES)
    assert event.edge_attr.shape[1] == 7
    part, point = event.member_index
    pos = event.part_pos.double() / 10
    assert event.edge_index.shape[1] > 50
    for (i, j), row in zip(event.edge_index.T.tolist(), event.edge_attr, strict=True):
        distances = torch.cdist(pos[part[point == i]], pos[part[point == j]])
        assert row[5].item() == pytest.approx(float(distances.min()), abs=1e-3)
        assert row[6].item() == pytest.approx(float(distances.max()), abs=1e-3)
    five = toy_trackster_event(4, num_pileup=4)
    torch.testing.assert_close(event.edge_attr[:, :5], five.edge_attr)
