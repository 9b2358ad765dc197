"""Configurations that an evaluation draws from a network: for every layer cluster, and the same for one seed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

from hitloom.cli import inside
from hitloom.metrics.pruning_samples import sample_ranks
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.system import Pruning
from pruning_toy import toy_trackster


@pytest.mark.parametrize("mode", ["nodes", "autoregressive", "tree"])
def test_samples_of_many_batches_stand_in_the_order_of_the_events(mode, monkeypatch):
    events = [toy_trackster(1 + seed, seed=seed) for seed in range(5)]
    system = Pruning(PruningConfig(mode=mode, hidden=8, heads="shallow", num_gnn_layers=1)).eval()
    system.fit_inputs(events)
    monkeypatch.setattr(inside, "_SAMPLED_TOGETHER", 2)
    draw = inside._sampler(SimpleNamespace(system=system))
    first, again = draw(events, 7), draw(events, 7)
    assert first.shape == (7, 15)
    assert first.dtype == np.bool_
    assert np.array_equal(first, again)
    trackster = np.repeat(np.arange(5), [event.num_points for event in events])
    truth = np.concatenate([event.point_y.numpy() > 0.5 for event in events])
    ranks = sample_ranks(samples=first, to_prune=truth, trackster=trackster, num_tracksters=5)
    assert (ranks.mass[:, -1] <= 1 + 1e-12).all()


def test_a_network_without_a_distribution_of_decisions_draws_nothing():
    assert inside._sampler(SimpleNamespace(system=nn.Linear(1, 1))) is None
