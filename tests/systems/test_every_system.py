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

from hitloom.event import Event
from hitloom.registry import get_system, system_names
from hitloom.systems.base import System


@dataclass(frozen=True)
class Case:
    """How to make a tiny instance of a system and an event that it can read."""

    make_system: Callable[[], System]
    make_event: Callable[[int, int], Event]


def tracker_event(num_points: int, seed: int) -> Event:
    """Straight tracks from the origin through eight layers, in random order, with a few noise points."""
    generator = torch.Generator().manual_seed(seed)
    radii = torch.tensor([32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0])
    num_tracks = max(1, num_points // len(radii))
    phi = (torch.rand(num_tracks, generator=generator) * 2 - 1) * torch.pi
    slope = torch.randn(num_tracks, generator=generator)
    track = torch.arange(num_points) // len(radii)
    layer = torch.arange(num_points) % len(radii)
    noise = (track >= num_tracks) | (torch.rand(num_points, generator=generator) < 0.05)
    track = track.clamp(max=num_tracks - 1)
    r = radii[layer]
    pos = torch.stack([r * phi[track].cos(), r * phi[track].sin(), r * slope[track]], 1)
    pos = torch.where(noise[:, None], torch.randn(num_points, 3, generator=generator) * 300, pos)
    order = torch.randperm(num_points, generator=generator)
    pos, noise, track, layer = pos[order], noise[order], track[order], layer[order]
    index = torch.where(noise, torch.full_like(track, -1), track)
    edges = [
        (rows[a], rows[a + 1])
        for t in range(num_tracks)
        for rows in [sorted((index == t).nonzero().flatten().tolist(), key=lambda row: float(layer[row]))]
        for a in range(len(rows) - 1)
    ]
    system_needs = get_system("eggnet").Config().node_features
    features = torch.randn(num_points, len(system_needs), generator=generator).abs()
    columns = {"r": pos[:, :2].norm(dim=1), "phi": torch.atan2(pos[:, 1], pos[:, 0]), "z": pos[:, 2]}
    for name, values in columns.items():
        if name in system_needs:
            features[:, list(system_needs).index(name)] = values
    return Event(
        pos=pos,
        x=features,
        feature_names=list(system_needs),
        object_index=index,
        object_id=torch.arange(num_tracks) + 1,
        object_pt=torch.full((num_tracks,), 2.0),
        object_num_points=torch.bincount(index[index >= 0], minlength=num_tracks),
        truth_edge_index=torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T.contiguous(),
        event_id=seed,
        source="toy",
    ).validate()


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


CASES = {"eggnet": Case(make_eggnet, tracker_event)}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_every_built_in_system_is_held_to_the_laws():
    assert set(CASES) == set(system_names())


def test_a_batch_of_two_equals_each_alone(case: Case):
    system = case.make_system().eval()
    events = [case.make_event(40, 1), case.make_event(65, 2)]
    with torch.no_grad():
        together = system(Batch.from_data_list(events))
        alone = [system(event) for event in events]
    torch.testing.assert_close(
        together.embedding, torch.cat([scores.embedding for scores in alone]), atol=1e-5, rtol=1e-4
    )


def test_permuting_points_permutes_labels(case: Case):
    system = case.make_system().eval()
    event = case.make_event(64, 3)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    permuted = Event(pos=event.pos[order], x=event.x[order], feature_names=event.feature_names, event_id=0)
    with torch.no_grad():
        labels = system.reconstruct(system(event), event).labels
        moved = system.reconstruct(system(permuted), permuted).labels
    first = labels[order]
    assert torch.equal(first < 0, moved < 0)
    assert torch.equal(first[:, None] == first, moved[:, None] == moved)


def test_gradients_reach_every_parameter(case: Case):
    system = case.make_system().train()
    event = case.make_event(64, 4)
    system.loss(system(event), event).total.backward()
    without = [name for name, p in system.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    idle = getattr(system, "parameters_without_gradient", set)()
    assert set(without) == idle


def test_thirty_steps_lower_the_loss(case: Case):
    system = case.make_system().train()
    event = case.make_event(64, 5)
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
    total = system.train().loss(system(event), event).total
    assert bool(torch.isfinite(total))


def test_an_event_of_noise_alone_has_a_finite_loss(case: Case):
    system = case.make_system().train()
    event = case.make_event(40, 7)
    event.object_index = torch.full_like(event.object_index, -1)
    event.truth_edge_index = event.truth_edge_index[:, :0]
    loss = system.loss(system(event), event)
    assert bool(torch.isfinite(loss.total))
    loss.total.backward()
