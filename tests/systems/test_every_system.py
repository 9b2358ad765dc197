"""The laws every system obeys. A new system is one more entry in ``CASES``.

Checkpoint and resume laws are in ``tests/training``, export parity in ``tests/export``; this file holds what needs
the system alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.event import Event
from hitloom.registry import get_system, system_names
from hitloom.systems.base import System
from pruning_toy import toy_trackster
from shower_toy import toy_view
from tracker_toy import TINY, graph_event, module_event, tracker_event
from trackster_toy import toy_trackster_event


@dataclass(frozen=True)
class Case:
    """How to make a tiny instance of a system and an event that it can read."""

    make_system: Callable[[], System]
    make_event: Callable[[int, int], Event]
    trained: bool = True  # by gradients


def make_eggnet() -> System:
    torch.manual_seed(1)
    eggnet = get_system("eggnet")
    return eggnet(tiny_eggnet_config(eggnet))


def tiny_eggnet_config(eggnet: type[System]):
    return eggnet.Config(
        loss={"deep_supervision": "first"},
        node_rep_dim=16,
        edge_rep_dim=16,
        node_pspace_dim=6,
        num_iterations=2,
        num_gnns_per_iteration=2,
    )


def make_tiny(name: str) -> Callable[[], System]:
    def make() -> System:
        torch.manual_seed(1)
        system = get_system(name)
        return system(build(system.Config, TINY[name]))

    return make


def make_module_map() -> System:
    system = get_system("exatrkx-module-map")
    return system.fit(system.Config(), [module_event(64, seed) for seed in range(3)])


def make_linking() -> System:
    torch.manual_seed(1)
    linking = get_system("linking")
    loss = {"contrastive_weight": 0.1, "margin": 2.0, "view": "edge", "pu_weight": 0.1, "weight": {"floor": 0.1}}
    model = {"network": "punet", "dropout": 0.0, "loss": loss, "inputs": {"log": True, "missing_time": "mask"}}
    system = linking(build(linking.Config, model))
    system.fit_inputs([trackster_event(64, seed) for seed in range(10, 13)])
    return system


def make_tokens() -> System:
    torch.manual_seed(1)
    tokens = get_system("linking-tokens")
    return tokens(build(tokens.Config, {"width": 16, "num_layers": 1, "feed_forward": 16, "dropout": 0.0}))


def make_pruning() -> System:
    torch.manual_seed(1)
    pruning = get_system("pruning")
    model = {"mode": "autoregressive", "hidden": 16, "heads": "shallow", "head_dropout": 0.0}
    system = pruning(build(pruning.Config, model))
    system.fit_inputs([pruning_event(64, seed) for seed in range(10, 13)])
    return system


def pruning_event(num_points: int, seed: int) -> Event:
    """Return a toy trackster of layer clusters; its truth is in its labels."""
    event = toy_trackster(num_points, seed)
    event.object_index = torch.zeros(num_points, dtype=torch.int64)
    return event


def make_showers() -> System:
    torch.manual_seed(1)
    showers = get_system("showers")
    small = {"embedding": 32, "hidden": 32, "num_heads": 2, "num_inducing": 4, "depth": 1}
    model = {
        "inputs": {"added_from_epoch": 0}, "encoder": small, "attention": small, "similarity": {"hidden": 32},
        "grouping": {"threshold": 0.5}, "loss": {"contrastive": 0.1, "triplet": 0.1, "num_triplets": 1000},
    }  # fmt: skip
    return showers(build(showers.Config, model))


def trackster_event(num_points: int, seed: int) -> Event:
    """Return a toy event cut to a number of tracksters."""
    event = toy_trackster_event(seed, num_particles=16, num_pileup=10)
    keep = torch.zeros(event.num_points, dtype=torch.bool)
    keep[:num_points] = True
    return event.select_points(keep)


CASES = {
    "eggnet": Case(make_eggnet, tracker_event),
    "exatrkx": Case(make_tiny("exatrkx"), tracker_event),
    "exatrkx-embedding": Case(make_tiny("exatrkx-embedding"), tracker_event),
    "exatrkx-filter": Case(make_tiny("exatrkx-filter"), graph_event),
    "exatrkx-gnn": Case(make_tiny("exatrkx-gnn"), graph_event),
    "exatrkx-module-map": Case(make_module_map, module_event, trained=False),
    "linking": Case(make_linking, trackster_event),
    "linking-tokens": Case(make_tokens, trackster_event),
    "pruning": Case(make_pruning, pruning_event),
    "showers": Case(make_showers, toy_view),
}


def permuted(event: Event, order: torch.Tensor) -> Event:
    """Return the event with its points in another order, and no truth."""
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    result = Event(feature_names=event.feature_names, event_id=0)
    for name in ("pos", "x", "volume", "layer", "module"):
        if name in event:
            result[name] = event[name][order]
    if "part_point_index" in event:
        result.part_point_index = place[event.part_point_index]
        for name in ("part_pos", "part_x", "part_feature_names"):
            if name in event:
                result[name] = event[name]
    if "edge_index" in event:
        result.edge_index = place[event.edge_index]
        for name in ("edge_attr", "edge_feature_names"):
            if name in event:
                result[name] = event[name]
    return result


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(params=sorted(name for name, case in CASES.items() if case.trained))
def trained(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_every_built_in_system_is_held_to_the_laws():
    assert set(CASES) == set(system_names())


def test_a_batch_of_two_equals_each_alone(trained: Case):
    system = trained.make_system().eval()
    events = [trained.make_event(40, 1), trained.make_event(65, 2)]
    with torch.no_grad():
        together = system(Batch.from_data_list(events))
        alone = [system(event) for event in events]
    compared = 0
    for name in ("embedding", "edge_score", "point_score"):
        value = getattr(together, name)
        if value is not None:
            wanted = torch.cat([getattr(scores, name) for scores in alone])
            torch.testing.assert_close(value, wanted, atol=1e-5, rtol=1e-4)
            compared += value.numel()
    assert compared
    if together.edge_index is not None:
        shifted = torch.cat([alone[0].edge_index, alone[1].edge_index + 40], 1)
        assert torch.equal(together.edge_index, shifted)


def test_permuting_points_permutes_labels(case: Case):
    system = case.make_system().eval()
    event = case.make_event(64, 3)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    other = permuted(event, order)
    with torch.no_grad():
        labels = system.reconstruct(system(event), event).labels
        moved = system.reconstruct(system(other), other).labels
    first = labels[order]
    assert torch.equal(first < 0, moved < 0)
    assert torch.equal(first[:, None] == first, moved[:, None] == moved)


def test_gradients_reach_every_parameter(trained: Case):
    system = trained.make_system().train()
    event = trained.make_event(64, 4)
    system.loss(system(event), event).total.backward()
    without = [name for name, p in system.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    idle = getattr(system, "parameters_without_gradient", set)()
    assert set(without) == idle


def test_thirty_steps_lower_the_loss(trained: Case):
    system = trained.make_system().train()
    event = trained.make_event(64, 5)
    optimiser = torch.optim.AdamW(system.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = system.loss(system(event), event).total
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize("num_points", [0, 1, 2])
def test_the_smallest_events_are_reconstructed(case: Case, num_points: int):
    system = case.make_system()
    event = case.make_event(num_points, 6)
    result = system.eval().reconstruct(system(event), event)
    assert result.labels.shape == (num_points,)
    if case.trained:
        total = system.train().loss(system(event), event).total
        assert bool(torch.isfinite(total))


def test_an_event_of_noise_alone_has_a_finite_loss(trained: Case):
    system = trained.make_system().train()
    event = trained.make_event(40, 7)
    event.object_index = torch.full_like(event.object_index, -1)
    if "truth_edge_index" in event:
        event.truth_edge_index = event.truth_edge_index[:, :0]
    if "edge_y" in event:
        event.edge_y = torch.zeros_like(event.edge_y)
    loss = system.loss(system(event), event)
    assert bool(torch.isfinite(loss.total))
    loss.total.backward()
