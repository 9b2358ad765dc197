"""What the networks read of a trackster: invariances, scales, the seed, and tracksters of one layer cluster."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.systems.pruning.config import FeatureConfig
from hitloom.systems.pruning.inputs import CONTEXT, STANDARD, TracksterNodeInputs, TracksterNodes, seed_rows
from pruning_toy import as_event, toy_trackster

X, Y, Z, ENERGY, TIME, ETA, PHI, HIGH, LOW = range(len(PRUNING_FEATURES))


def turned(event: Event, angle: float) -> Event:
    """Return the trackster turned about the beam."""
    other = event.clone()
    x, y = event.x[:, X].double(), event.x[:, Y].double()
    other.x[:, X] = (x * math.cos(angle) - y * math.sin(angle)).float()
    other.x[:, Y] = (x * math.sin(angle) + y * math.cos(angle)).float()
    other.x[:, PHI] = torch.atan2(other.x[:, Y], other.x[:, X])
    return other


def mirrored(event: Event) -> Event:
    """Return the trackster in the other endcap."""
    other = event.clone()
    other.x[:, [Z, ETA]] *= -1
    return other


def fitted(**config: object) -> TracksterNodeInputs:
    inputs = TracksterNodeInputs(FeatureConfig(**config))
    inputs.fit(toy_trackster(20 + seed, seed) for seed in range(6))
    return inputs


def read(inputs: TracksterNodeInputs, event: Event) -> torch.Tensor:
    return inputs(TracksterNodes.of(event))


@given(angle=st.floats(-math.pi, math.pi), seed=st.integers(0, 200), num=st.integers(1, 30), context=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_rotation_about_the_beam_or_a_change_of_endcap_changes_no_standard_input(angle, seed, num, context):
    inputs, event = fitted(context=context), toy_trackster(num, seed)
    wanted = read(inputs, event)
    torch.testing.assert_close(read(inputs, turned(event, angle)), wanted, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(read(inputs, mirrored(event)), wanted)


def test_legacy_inputs_see_the_absolute_azimuth():
    inputs, event = fitted(kind="legacy"), toy_trackster(12, 3)
    assert not torch.allclose(read(inputs, turned(event, 1.0)), read(inputs, event), atol=0.1)


def test_standard_inputs_by_hand():
    columns = [
        [30.0, 40.0, 330.0, 4.0, 11.0, 2.6, 0.9, 1.0, 0.0],
        [36.0, 48.0, 396.0, 1.0, 11.5, 2.6, 0.9, 0.0, 0.0],  # on the line through the collision and the seed
        [33.0, 40.0, 330.0, 2.0, -99.0, 2.5, 0.9, 0.0, 0.0],
    ]
    event = as_event(columns, [(0, 1), (0, 2)], None, layer=[4, 9, 4], event_id=0)
    values = TracksterNodeInputs(FeatureConfig(context=True)).derived(TracksterNodes.of(event))
    found = {name: values[:, place].tolist() for place, name in enumerate((*STANDARD, *CONTEXT))}
    assert found["radial_offset"] == pytest.approx([0, 0, 3 * 0.6], abs=1e-4)
    assert found["azimuthal_offset"] == pytest.approx([0, 0, -3 * 0.8], abs=1e-4)
    assert found["depth"] == pytest.approx([0, 66, 0])
    assert found["log_energy"] == pytest.approx([math.log(5), math.log(2), math.log(3)])
    assert found["time_offset"] == pytest.approx([0, 0.5, 0])
    assert found["has_time"] == [1, 1, 0]
    assert found["layer"] == [4, 9, 4]
    assert found["is_seed"] == [1, 0, 0]
    assert found["log_energy_share"] == pytest.approx([math.log(4 / 7), math.log(1 / 7), math.log(2 / 7)])
    assert found["log_num_points"] == pytest.approx([math.log(3)] * 3)
    assert found["leader_distance"] == pytest.approx([0, 0, 3], abs=1e-3)
    assert found["leader_depth"] == pytest.approx([0, 66, 0])
    assert found["leader_log_energy_ratio"] == pytest.approx([0, math.log(1 / 4), math.log(1 / 2)])
    assert found["log_num_followers"] == pytest.approx([math.log(3), 0, 0])


@pytest.mark.parametrize("recentre", [True, False])
@pytest.mark.parametrize("clip_time", [True, False])
def test_legacy_inputs_are_the_raw_columns_with_what_the_options_say(recentre, clip_time):
    event = toy_trackster(9, 4)
    wanted = event.x.clone()
    if recentre:
        wanted[:, :3] -= event.x[0, :3]
    if clip_time:
        wanted[:, TIME] = wanted[:, TIME].clamp(min=0)
    inputs = fitted(kind="legacy", recentre=recentre, clip_time=clip_time)
    assert torch.equal(read(inputs, event), wanted)


@pytest.mark.parametrize(("high", "low", "seed"), [
    ([0, 0, 0], [0, 0, 0], 0), ([0, 1, 0], [0, 0, 0], 1), ([0, 1, 0], [0, 0, 1], 2), ([1, 0, 1], [0, 0, 0], 2),
])  # fmt: skip
def test_the_seed_is_the_last_low_flag_then_the_last_high_flag_then_the_first(high, low, seed):
    event = toy_trackster(3, 1)
    event.x[:, HIGH], event.x[:, LOW] = torch.tensor(high).float(), torch.tensor(low).float()
    assert seed_rows(TracksterNodes.of(event)).tolist() == [seed] * 3
    both = Batch.from_data_list([toy_trackster(5, 2), event])
    assert seed_rows(TracksterNodes.of(both)).tolist() == [0] * 5 + [5 + seed] * 3


@pytest.mark.parametrize("kind", ["standard", "legacy"])
def test_inputs_of_a_batch_are_those_of_each_trackster_alone(kind):
    inputs = fitted(kind=kind, context=True)
    events = [toy_trackster(num, seed) for seed, num in enumerate((7, 1, 30, 2))]
    alone = torch.cat([read(inputs, event) for event in events])
    torch.testing.assert_close(read(inputs, Batch.from_data_list(events)), alone, atol=1e-5, rtol=1e-5)
    assert bool(torch.isfinite(alone).all())


def test_fitted_inputs_are_of_unit_size_and_their_scales_travel_with_the_weights():
    inputs = fitted(context=True)
    values = torch.cat([read(inputs, toy_trackster(20 + seed, seed)) for seed in range(6)])
    assert float(values.mean(0).abs().max()) < 0.05
    assert float((values.std(0) - 1).abs().max()) < 0.1
    other = TracksterNodeInputs(FeatureConfig(context=True))
    other.load_state_dict(inputs.state_dict())
    assert torch.equal(read(other, toy_trackster(4, 9)), read(inputs, toy_trackster(4, 9)))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_column_that_is_not_finite_is_refused_by_name(value):
    event = toy_trackster(5, 1)
    event.x[2, ENERGY] = value
    with pytest.raises(DataError, match="'energy' of layer cluster 2"):
        TracksterNodes.of(event)


def test_a_link_to_a_layer_cluster_that_does_not_exist_is_refused():
    event = toy_trackster(5, 1)
    event.edge_index[1, 0] = 5
    with pytest.raises(DataError, match="edge_index holds 0 to 5"):
        TracksterNodes.of(event)
