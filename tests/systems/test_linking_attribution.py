"""Integrated gradients: complete, zero for what is not read, and made of a plain sum for a linear encoder."""

from __future__ import annotations

import pytest
import torch

from hitloom.config import build
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.systems.linking import Linking, LinkingConfig
from hitloom.systems.linking.attribution import feature_importance, integrated_gradients
from trackster_toy import toy_trackster_event


def make(**inputs) -> Linking:
    torch.manual_seed(0)
    system = Linking(build(LinkingConfig, {"inputs": inputs}))
    system.fit_inputs([toy_trackster_event(1, missing_time=0.0)])
    return system


@pytest.mark.parametrize("target", ["encoder", "score"])
def test_attributions_sum_to_the_difference_of_the_ends(target: str):
    system, event = make().eval(), toy_trackster_event(2, missing_time=0.0)
    x = event.columns(NODE_FEATURES)
    found = integrated_gradients(system, event, target=target, num_steps=400, baseline=x.mean(0))

    def value(rows: torch.Tensor) -> float:
        with torch.no_grad():
            if target == "score":
                return float(system.run(rows, event.edge_index, event.edge_attr).logit.sum())
            return float(system.network.node_encoder(rows / system.network.inputs.node_scale).sum())

    wanted = value(x) - value(x.mean(0).expand_as(x))
    assert abs(wanted) > 1e-3
    assert float(found.sum()) == pytest.approx(wanted, rel=0.02, abs=1e-3)


def test_without_a_baseline_the_line_begins_at_another_trackster_of_the_same_endcap():
    system, event = make().eval(), toy_trackster_event(2, missing_time=0.0)
    x, scale = event.columns(NODE_FEATURES), system.network.inputs.node_scale
    found = integrated_gradients(system, event, target="encoder", num_steps=400)

    def value(rows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return system.network.node_encoder(rows / scale).sum(1)

    back = x[:, NODE_FEATURES.index("barycenter_z")] < 0
    for side in (back, ~back):  # a permutation within the endcap: the differences cancel in the sum
        assert side.sum() > 1
        assert float(found[side].sum()) == pytest.approx(0.0, abs=2e-3 * float(value(x[side]).abs().sum()))
    assert float(found.abs().sum()) > 0.0


def test_features_that_the_network_does_not_read_have_no_part():
    system, event = make(phi="invariant").eval(), toy_trackster_event(3, missing_time=0.0)
    found = feature_importance(system, [event])
    assert list(found) == list(NODE_FEATURES)
    assert found["barycenter_phi"] == 0.0
    assert found["raw_energy"] > 0.0


def test_the_mode_of_the_system_comes_back_and_empty_events_count_nothing():
    system = make().train()
    empty = toy_trackster_event(4, num_particles=0)
    assert integrated_gradients(system, empty).shape == (0, 29)
    assert system.training
    assert set(feature_importance(system, [empty]).values()) == {0.0}
