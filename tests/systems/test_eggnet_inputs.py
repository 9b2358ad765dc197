"""Inputs and pairs that the published model does not have: Fourier terms, optional features, partners, pair weights."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.config import build
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.losses import PairWeights, partner_pairs, seeded_generator
from hitloom.systems.eggnet import EggNet, EggNetConfig

SMALL = {
    "node_rep_dim": 8, "edge_rep_dim": 8, "edge_hidden": 8, "node_hidden": 8, "encoder_hidden": 8, "node_0_hidden": 8,
    "node_pspace_dim": 4, "num_iterations": 1, "num_gnns_per_iteration": 1, "num_neighbours": 3,
}  # fmt: skip


def event_of(names: list[str], num_points: int = 20, event_id: int = 1) -> Event:
    generator = torch.Generator().manual_seed(event_id)
    return Event(
        pos=torch.randn(num_points, 3, generator=generator),
        x=torch.randn(num_points, len(names), generator=generator),
        feature_names=names,
        object_index=torch.arange(num_points) // 4,
        object_id=torch.arange(num_points // 4) + 1,
        truth_edge_index=torch.stack([torch.arange(0, num_points, 4), torch.arange(1, num_points, 4)]),
        event_id=event_id,
    )


def test_fourier_terms_by_hand():
    config = EggNetConfig(
        **SMALL, node_features=("r", "phi"), node_scales=(1000.0, math.pi), fourier_features=("phi",),
        num_fourier_frequencies=3,
    )  # fmt: skip
    network = EggNet(config)
    assert config.num_inputs == 2 + 6
    got = network.inputs(torch.tensor([[500.0, math.pi / 6]]))[0].tolist()
    angles = [math.pi / 6, math.pi / 3, 2 * math.pi / 3]
    assert got == pytest.approx([0.5, 1 / 6, *map(math.sin, angles), *map(math.cos, angles)], abs=1e-6)


def test_fourier_terms_of_phi_do_not_jump_at_pi():
    config = EggNetConfig(**SMALL, node_features=("phi",), node_scales=(math.pi,), fourier_features=("phi",))
    terms = EggNet(config).inputs(torch.tensor([[math.pi - 1e-5], [-math.pi + 1e-5]]))[:, 1:]
    torch.testing.assert_close(terms[0], terms[1], atol=3e-3, rtol=0)


@pytest.mark.parametrize("key", ["fourier_features", "optional_features"])
def test_a_name_that_is_no_feature_is_refused(key):
    with pytest.raises(ConfigError, match="Did you mean 'phi'"):
        build(EggNetConfig, {key: ["phii"]})


def test_an_optional_feature_may_be_absent_and_is_reported_once(caplog):
    config = EggNetConfig(
        **SMALL, node_features=("r", "cell_val"), node_scales=(1.0, 1.0), optional_features=("cell_val",)
    )
    network = EggNet(config).eval()
    assert network.needs.features == ("r",)
    full, bare = event_of(["r", "cell_val"]), event_of(["r"])
    bare.x = full.x[:, :1]
    full.x = torch.stack([full.x[:, 0], torch.zeros(20)], 1)
    caplog.set_level(logging.WARNING, logger="hitloom")
    logging.getLogger("hitloom").propagate = True
    with torch.no_grad():
        torch.testing.assert_close(network(bare).embedding, network(full).embedding)
        network(bare)
    assert caplog.text.count("'cell_val'") == 1


def test_a_feature_that_is_not_optional_is_an_error():
    network = EggNet(EggNetConfig(**SMALL, node_features=("r", "cell_val"), node_scales=(1.0, 1.0)))
    with pytest.raises(DataError, match="cell_val"):
        network(event_of(["r"]))


def test_training_hides_optional_features_in_some_events_and_evaluation_never():
    config = EggNetConfig(
        **SMALL, node_features=("r", "cell_val"), node_scales=(1.0, 1.0), optional_features=("cell_val",),
        optional_dropout=0.5,
    )  # fmt: skip
    network, event = EggNet(config), event_of(["r", "cell_val"])
    hidden = event_of(["r", "cell_val"])
    hidden.x = hidden.x * torch.tensor([1.0, 0.0])
    network.eval()
    with torch.no_grad():
        with_cells, without = network(event).embedding, network(hidden).embedding
        network.train()
        seen = [network(event).embedding for network.loss_step in torch.arange(40)]
    num_hidden = sum(bool(torch.allclose(z, without)) for z in seen)
    assert num_hidden + sum(bool(torch.allclose(z, with_cells)) for z in seen) == 40
    assert 8 <= num_hidden <= 32


@given(keys=st.lists(st.integers(-1, 5), min_size=0, max_size=40), seed=st.integers(0, 50))
@settings(deadline=None, max_examples=50)
def test_partners_belong_to_the_same_object_and_every_member_gets_one(keys, seed):
    key = torch.tensor(keys, dtype=torch.int64)
    pairs = partner_pairs(key, generator=seeded_generator(seed))
    assert sorted(pairs[0].tolist()) == (key >= 0).nonzero().flatten().tolist()
    assert torch.equal(key[pairs[0]], key[pairs[1]])


def test_partners_reach_every_member():
    key = torch.zeros(6, dtype=torch.int64)
    met = {tuple(p) for step in range(200) for p in partner_pairs(key, generator=seeded_generator(step)).T.tolist()}
    assert len(met) == 36


def test_negative_pairs_weigh_as_their_heavier_point():
    weights = PairWeights(positive=torch.tensor([0.2, 1.0, 0.2]), negative=0.5, negatives_from_members=True)
    pairs = torch.tensor([[0, 0, 1, 0], [1, 2, 0, 2]])
    positive = torch.tensor([False, False, True, True])
    assert weights.of(pairs, positive).tolist() == pytest.approx([0.5, 0.1, 1.0, 0.2])
