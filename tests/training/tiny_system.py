"""A system small enough to train in a second: an MLP embedding, random pairs, grouping by rounded azimuth."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from hitloom.config import Config
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.result import Result, Scores
from hitloom.systems.base import ExportSignature, Needs, System, point_ids


class TinyConfig(Config):
    width: int = 8
    num_pairs: int = 64


class Tiny(System):
    """Embeds a point; random pairs of one object attract, others repel."""

    name: ClassVar[str] = "tiny"
    Config: ClassVar[type[TinyConfig]] = TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.net = nn.Sequential(nn.Linear(3, config.width), nn.SiLU(), nn.Dropout(0.1), nn.Linear(config.width, 3))

    @property
    def needs(self) -> Needs:
        return Needs(fields=("pos",), features=(), training_fields=("object_index",))

    def forward(self, event: Event) -> Scores:
        return Scores(embedding=self.net(event.pos / 1000))

    def loss(self, scores: Scores, event: Event) -> Loss:
        assert scores.embedding is not None
        key = event.object_key()
        pairs = torch.randint(len(key), (2, self.config.num_pairs)) if len(key) else torch.empty(2, 0).long()
        same = (key[pairs[0]] == key[pairs[1]]) & (key[pairs[0]] >= 0)
        distance = ((scores.embedding[pairs[0]] - scores.embedding[pairs[1]]) ** 2).sum(1)
        parts: dict[str, Tensor] = {
            "pull": distance[same].sum() / max(int(same.sum()), 1),
            "push": (1 - distance[~same]).clamp(min=0).sum() / max(int((~same).sum()), 1),
        }
        return Loss(parts=parts, counts={"pull": int(same.sum()), "push": int((~same).sum())})

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        assert scores.embedding is not None
        phi = torch.atan2(event.pos[:, 1], event.pos[:, 0]).cpu()
        _, labels = torch.unique((phi * 1e3).round(), return_inverse=True)
        return Result(
            event_id=int(event.event_id),
            point_id=point_ids(event),
            labels=labels.to(torch.int64),
            embedding=scores.embedding.detach().cpu(),
        )

    def export_signature(self) -> ExportSignature:
        return ExportSignature(
            module=self.net,
            input_names=("pos",),
            output_names=("embedding",),
            example=lambda num_points: (torch.randn(num_points, 3),),
            dynamic_axes={"pos": {0: "num_points"}, "embedding": {0: "num_points"}},
        )


def tiny_event(event_id: int, num_tracks: int = 6, num_layers: int = 5) -> Event:
    """Straight tracks from the origin and three noise points, in random order."""
    generator = torch.Generator().manual_seed(event_id)
    phi = (torch.rand(num_tracks, generator=generator) * 2 - 1) * torch.pi
    r = torch.arange(1, num_layers + 1) * 100.0
    index = torch.arange(num_tracks).repeat_interleave(num_layers)
    radius = r.repeat(num_tracks)
    pos = torch.stack([radius * phi[index].cos(), radius * phi[index].sin(), radius * 0.3], 1)
    pos = torch.cat([pos, torch.randn(3, 3, generator=generator) * 200])
    index = torch.cat([index, torch.full((3,), -1)])
    order = torch.randperm(len(pos), generator=generator)
    rows = torch.arange(num_tracks * num_layers).reshape(num_tracks, num_layers)
    new_row = torch.empty_like(order)
    new_row[order] = torch.arange(len(order))
    edges = torch.stack([rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1)])
    pt = torch.linspace(0.5, 3.0, num_tracks)
    return Event(
        pos=pos[order],
        x=pos[order],
        feature_names=["x", "y", "z"],
        point_id=torch.arange(len(order)),
        object_index=index[order],
        object_id=torch.arange(num_tracks) + 1,
        object_pt=pt,
        object_eta=torch.full((num_tracks,), 0.3),
        object_num_points=torch.full((num_tracks,), num_layers),
        truth_edge_index=new_row[edges],
        event_id=event_id,
        source="tiny",
    ).validate()
