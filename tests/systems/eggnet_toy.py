"""Small events and configurations for the tests of EggNet."""

from __future__ import annotations

from typing import Any

import torch

from hitloom.event import Event
from hitloom.systems.eggnet import EggNet, EggNetConfig

WIDTHS = (
    "node_rep_dim", "edge_rep_dim", "encoder_hidden", "node_0_hidden", "edge_hidden", "node_hidden", "decoder_hidden",
)  # fmt: skip
TINY: dict[str, Any] = dict.fromkeys(WIDTHS, 8) | {
    "node_features": ("r", "phi", "z"),
    "node_pspace_dim": 4,
    "num_iterations": 2,
    "num_gnns_per_iteration": 2,
    "num_neighbours": 4,
    "loss": {"num_random_pairs": 50, "num_neighbours": 3},
}
SCORED: dict[str, Any] = {"output_node_score": True, "loss": {"name": "weighted_contrastive", "num_random_pairs": 50}}


def tiny(**changes: Any) -> EggNet:
    """Return a tiny network with reproducible weights."""
    torch.manual_seed(11)
    return EggNet(EggNetConfig(**(TINY | changes)))


def toy_event(num_points: int = 40, seed: int = 0, event_id: int | None = None) -> Event:
    """Tracks of five points on a line through the origin, and every seventh point noise."""
    generator = torch.Generator().manual_seed(seed)
    track, step = torch.arange(num_points) // 5, torch.arange(num_points) % 5
    num_tracks = int(track.max()) + 1 if num_points else 0
    direction = torch.nn.functional.normalize(torch.randn(max(1, num_tracks), 3, generator=generator), dim=1)
    pos = direction[track] * (step[:, None] + 1) * 100.0 + torch.randn(num_points, 3, generator=generator)
    noise = torch.arange(num_points) % 7 == 6
    index = torch.where(noise, -1, track)
    first = torch.arange(max(0, num_points - 1))
    joined = (index[:-1] == index[1:]) & (index[1:] >= 0) if num_points else torch.zeros(0, dtype=torch.bool)
    return Event(
        pos=pos,
        x=torch.stack([pos[:, :2].norm(dim=1), torch.atan2(pos[:, 1], pos[:, 0]), pos[:, 2]], 1),
        feature_names=["r", "phi", "z"],
        object_index=index,
        object_id=torch.arange(num_tracks) + 4503668346847232,
        object_pt=torch.linspace(0.5, 4.0, num_tracks),
        truth_edge_index=torch.stack([first, first + 1])[:, joined[: len(first)]],
        event_id=seed if event_id is None else event_id,
    ).validate()


def gradients(system: EggNet, event: Event) -> dict[str, torch.Tensor | None]:
    """Return the gradient of every parameter after one loss in training mode."""
    system.train().zero_grad()
    system.loss(system(event), event).total.backward()
    return {name: None if p.grad is None else p.grad.clone() for name, p in system.named_parameters()}
