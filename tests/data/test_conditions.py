"""The condition language: every operator, every mistake, noise, integers, batches."""

from __future__ import annotations

import math
import operator

import pytest
import torch
from data_toy import toy_event
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.config import parse_yaml
from hitloom.data.conditions import Conditions, point_mask
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event


def event() -> Event:
    """Five points: objects 1, 0, noise, 1, 2."""
    return Event(
        pos=torch.zeros(5, 3),
        x=torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]),
        feature_names=["r"],
        layer=torch.tensor([2, 4, 2, 6, 8]),
        object_index=torch.tensor([1, 0, -1, 1, 2]),
        object_id=torch.tensor([2**53, 2**53 + 1, (9 << 52) | (1 << 24)]),
        object_pt=torch.tensor([0.5, 1.0, 2.0]),
        object_eta=torch.tensor([-2.0, 0.0, 2.0]),
        object_num_points=torch.tensor([1, 2, 1]),
        object_vertex=torch.tensor([[3.0, 4.0, 9.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
        object_is_signal=torch.tensor([True, False, True]),
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (["is", 4], [0, 1, 0, 0, 0]),
        (["is", 4.0], [0, 1, 0, 0, 0]),
        (["is", 4.5], [0, 0, 0, 0, 0]),
        (["is_not", 4], [1, 0, 1, 1, 1]),
        (["in", [2, 8]], [1, 0, 1, 0, 1]),
        (["in", []], [0, 0, 0, 0, 0]),
        (["not_in", [2, 8]], [0, 1, 0, 1, 0]),
        (["within", [4, 6]], [0, 1, 0, 1, 0]),
        (["not_within", [4, 6]], [1, 0, 1, 0, 1]),
        ([4, 6], [0, 1, 0, 1, 0]),
        ([3.5, 6.5], [0, 1, 0, 1, 0]),
        ([4, math.inf], [0, 1, 0, 1, 1]),
        (["-.inf", 4], [1, 1, 1, 0, 0]),
        ([-math.inf, math.inf], [1, 1, 1, 1, 1]),
    ],
)
def test_eggnet_defect_12_every_operator_on_points(value, wanted):
    assert point_mask(event(), {"layer": value}).int().tolist() == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (["is", 1.0], [1, 0, 0, 1, 0]),
        (["is_not", 1.0], [0, 1, 0, 0, 1]),
        (["in", [0.5, 2.0]], [0, 1, 0, 0, 1]),
        (["not_in", [0.5, 2.0]], [1, 0, 0, 1, 0]),
        (["within", [1, math.inf]], [1, 0, 0, 1, 1]),
        (["not_within", [1, math.inf]], [0, 1, 0, 0, 0]),
        ([1, math.inf], [1, 0, 0, 1, 1]),
    ],
)
def test_eggnet_defect_12_every_operator_on_objects_and_noise_fails_them_all(value, wanted):
    assert point_mask(event(), {"object_pt": value}).int().tolist() == wanted


def test_booleans_and_two_conditions_at_once():
    assert point_mask(event(), {"object_is_signal": True}).int().tolist() == [0, 1, 0, 0, 1]
    assert point_mask(event(), {"object_is_signal": False}).int().tolist() == [1, 0, 0, 1, 0]
    both = {"object_pt": [1, math.inf], "layer": [0, 4]}
    assert point_mask(event(), both).int().tolist() == [1, 0, 0, 0, 0]
    assert point_mask(event(), {}).all()


def test_trackml_defect_02_ids_are_compared_as_integers():
    assert point_mask(event(), {"object_id": ["is", 2**53 + 1]}).int().tolist() == [1, 0, 0, 1, 0]
    assert point_mask(event(), {"object_id": [2**53 + 1, 2**62]}).int().tolist() == [1, 0, 0, 1, 1]
    assert point_mask(event(), {"object_id": ["not_in", [2**53]]}).int().tolist() == [1, 0, 0, 1, 1]


def test_names_of_eggnet_and_derived_quantities():
    pairs = {
        "hit_particle_pt": "object_pt",
        "hit_particle_eta": "object_eta",
        "hit_particle_nhits": "object_num_points",
        "hit_r": "r",
        "hit_layer": "layer",
    }
    for alias, name in pairs.items():
        for value in ([0, 2], ["not_within", [0, 2]]):
            assert torch.equal(point_mask(event(), {alias: value}), point_mask(event(), {name: value}))
    assert point_mask(event(), {"object_vertex_radius": [0.5, 5]}).int().tolist() == [0, 1, 0, 0, 1]
    assert point_mask(event(), {"object_generation": ["is", 0]}).int().tolist() == [1, 1, 0, 1, 0]


def test_the_objects_themselves():
    conditions = Conditions.parse({"object_pt": [1, math.inf], "hit_particle_nhits": [2, math.inf]})
    assert conditions.object_mask(event()).tolist() == [False, True, False]
    with pytest.raises(DataError, match="'layer' is no property of true objects"):
        Conditions.parse({"layer": [1, 2]}).object_mask(event())


@pytest.mark.parametrize(
    ("mapping", "truth"),
    [
        ({"layer": [2, 4], "hit_r": [0, 1]}, False),
        ({"hit_particle_pt": [1, 2]}, True),
        ({"point_weight": [0, 1]}, True),
    ],
)
def test_conditions_know_whether_they_look_at_truth(mapping, truth):
    assert Conditions.parse(mapping).uses_truth is truth


def test_a_recipe_in_yaml():
    mapping = parse_yaml("hit_particle_pt: [1., .inf]\nlayer: [not_in, [8]]\n", where="test")
    assert point_mask(event(), mapping).int().tolist() == [1, 0, 0, 1, 0]


def test_mistakes_are_told_all_at_once():
    mapping = {
        "a": 3,
        "b": ["isnt", 3],
        "c": [1, 2, 3],
        "d": ["in", 3],
        "e": [5, 1],
        "f": ["within", 2],
        "g": ["is", "red"],
        "h": [math.nan, 1],
    }
    with pytest.raises(ConfigError) as caught:
        Conditions.parse(mapping, where="hard_cuts")
    text = str(caught.value)
    assert "\n" not in text
    assert all(f"'{name}'" in text for name in mapping)
    assert "unknown operator 'isnt'. Did you mean 'is" in text


def test_unknown_quantities_name_the_nearest():
    with pytest.raises(DataError, match=r"no object quantity 'object_ptt'. Did you mean 'object_pt'"):
        point_mask(event(), {"object_ptt": [0, 1]})
    with pytest.raises(DataError, match=r"no quantity 'layr'. Did you mean 'layer'"):
        point_mask(event(), {"layr": [0, 1]})
    plain = Event(pos=torch.zeros(1, 3))
    with pytest.raises(DataError, match="has no truth"):
        point_mask(plain, {"object_pt": [0, 1]})


def test_a_batch_gives_what_its_events_give():
    events = [toy_event(1), toy_event(2, num_objects=0), toy_event(3, num_objects=2)]
    batch = Batch.from_data_list(events)
    for mapping in ({"object_pt": [1, math.inf]}, {"object_num_points": ["is", 6], "r": [60, 200]}):
        alone = torch.cat([point_mask(one, mapping) for one in events])
        assert torch.equal(point_mask(batch, mapping), alone)
        assert 0 < int(alone.sum()) < len(alone)


@given(st.lists(st.integers(-5, 5), max_size=12), st.integers(-6, 6), st.integers(0, 6), st.sampled_from("if"))
@settings(max_examples=80, deadline=None)
def test_ranges_and_their_complements(values, low, width, kind):
    layer = torch.tensor(values, dtype=torch.int64)
    data = Event(pos=torch.zeros(len(values), 3), layer=layer)
    if kind == "f":
        data = Event(pos=torch.zeros(len(values), 3), energy=layer.float())
    name = "layer" if kind == "i" else "energy"
    inside = point_mask(data, {name: [low, low + width]})
    assert inside.tolist() == [low <= value <= low + width for value in values]
    outside = point_mask(data, {name: ["not_within", [low, low + width]]})
    assert all(map(operator.xor, inside.tolist(), outside.tolist()))
