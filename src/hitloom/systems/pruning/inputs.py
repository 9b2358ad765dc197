"""What the networks read of the layer clusters of a trackster.

``standard`` columns see a layer cluster from the seed of its trackster. The layer cluster is moved along its line of
flight from the collision to the depth of the seed; its offset there has a radial and an azimuthal part (cm). A rotation
about the beam and a change of endcap leave all columns as they are. Mean and spread of every column over the training
set travel with the weights. ``legacy`` columns are the published ones, in cm and GeV, without any scale.

Sizes are read from shapes, not by ``len``: exporters keep only those free.

Shape letters: N layer clusters, G tracksters, E links, F inputs, D derived columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.ops.segments import segment_count, segment_max, segment_sum
from hitloom.systems.pruning.config import FeatureConfig

STANDARD = (
    "radial_offset", "azimuthal_offset", "depth", "log_energy", "time_offset", "has_time", "layer", "abs_eta",
    "is_seed",
)  # fmt: skip
CONTEXT = (
    "log_energy_share", "log_num_points", "leader_distance", "leader_depth", "leader_log_energy_ratio",
    "log_num_followers",
)  # fmt: skip
LARGEST = 10.0  # derived columns end here after scaling
_X, _Y, _Z, _ENERGY, _TIME, _ETA, _PHI, _HIGH, _LOW = range(len(PRUNING_FEATURES))
_LEAST_ENERGY = 1e-3  # GeV
_LEAST_DEPTH = 1e-3  # cm


class TracksterNodes(NamedTuple):
    """The tensors of an event, or of the union of many, that the inputs are made of.

    ``x`` (N, 9) columns of the layout, ``layer`` (N,) int64 or None, ``edge_index`` (2, E) leader above follower,
    ``graph`` (N,) int64 trackster of each layer cluster in rising order, ``num_graphs``.
    """

    x: Tensor
    layer: Tensor | None
    edge_index: Tensor
    graph: Tensor
    num_graphs: int

    @staticmethod
    def of(event: Event) -> TracksterNodes:
        """Take them from an event or a batch.

        Raises
        ------
        DataError
            When a column is not finite, or a link points to a layer cluster that does not exist.
        """
        x, edge_index = event.columns(PRUNING_FEATURES), event.edge_index
        if not bool(torch.isfinite(x).all()):
            row, column = (~torch.isfinite(x)).nonzero()[0].tolist()
            raise DataError(
                f"{event.describe()}: '{PRUNING_FEATURES[column]}' of layer cluster {row} is {float(x[row, column])}, "
                "wanted a finite number; mend: the file, or leave the trackster out"
            )
        if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(x):
            raise DataError(
                f"{event.describe()}: edge_index holds {int(edge_index.min())} to {int(edge_index.max())}, wanted rows "
                f"of layer clusters (0 to {len(x) - 1}); mend: the links of this trackster"
            )
        batch, layer = event.get("batch"), event.get("layer")
        if batch is None:
            return TracksterNodes(x, layer, edge_index, x.new_zeros(len(x), dtype=torch.int64), 1)
        return TracksterNodes(x, layer, edge_index, batch, len(event.ptr) - 1)


class TracksterNodeInputs(nn.Module):
    """Columns of the layout in, network inputs (N, F) out; ``shift``, ``scale``, ``fitted`` travel with the weights.

    Parameters
    ----------
    config : FeatureConfig
    """

    shift: Tensor
    scale: Tensor
    fitted: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        legacy = config.kind == "legacy"
        self.derived_names = (() if legacy else STANDARD) + (CONTEXT if config.context else ())
        self.names = (PRUNING_FEATURES if legacy else ()) + self.derived_names
        self.register_buffer("shift", torch.zeros(len(self.derived_names)))
        self.register_buffer("scale", torch.ones(len(self.derived_names)))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    @property
    def num_inputs(self) -> int:
        """Number of inputs of a layer cluster."""
        return len(self.names)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of an event that are read."""
        return ("pos", "x", "edge_index", *(("layer",) if self.config.kind == "standard" else ()))

    def forward(self, nodes: TracksterNodes) -> Tensor:
        """Return the inputs (N, F)."""
        parts = [self._legacy(nodes)] if self.config.kind == "legacy" else []
        if self.derived_names:
            parts.append(((self.derived(nodes) - self.shift) / self.scale).clamp(-LARGEST, LARGEST))
        return torch.cat(parts, 1)

    @torch.no_grad()
    def fit(self, events: Iterable[Event]) -> None:
        """Take mean and spread of the derived columns from events of the training set, in one pass."""
        device, num = self.shift.device, len(self.derived_names)
        sums = torch.zeros(2, num, dtype=torch.float64, device=device)
        count = 0
        for event in events:
            if num:
                columns = self.derived(TracksterNodes.of(event.to(str(device)))).double()
                sums += torch.stack([columns.sum(0), columns.square().sum(0)])
                count += len(columns)
        mean, square = (sums / max(1, count)).unbind(0)
        spread = (square - mean.square()).clamp(min=0).sqrt()
        self.shift.copy_(mean)
        self.scale.copy_(torch.where(spread > 1e-4, spread, 1.0))
        self.fitted.fill_(True)

    # ------------------------------------------------------------------ columns before the scaling

    def derived(self, nodes: TracksterNodes) -> Tensor:
        """Return the columns that are scaled (N, D)."""
        columns = [] if self.config.kind == "legacy" else self._standard(nodes)
        return torch.stack(columns + (context_columns(nodes) if self.config.context else []), 1)

    def _legacy(self, nodes: TracksterNodes) -> Tensor:
        columns = list(nodes.x.unbind(1))
        if self.config.recentre:
            seed = nodes.x.index_select(0, seed_rows(nodes))
            for place in (_X, _Y, _Z):
                columns[place] = columns[place] - seed[:, place]
        if self.config.clip_time:
            columns[_TIME] = columns[_TIME].clamp(min=0)
        return torch.stack(columns, 1)

    @staticmethod
    def _standard(nodes: TracksterNodes) -> list[Tensor]:
        if nodes.layer is None:
            raise DataError("field 'layer' is needed and not in the data; mend: store tracksters with their layers")
        x = nodes.x
        seed = x.index_select(0, seed_rows(nodes))
        east, north = _offset(x, seed)
        radius = (seed[:, _X].square() + seed[:, _Y].square()).sqrt()
        safe = radius.clamp(min=1e-6)
        cos, sin = torch.where(radius > 0, seed[:, _X] / safe, 1.0), seed[:, _Y] / safe
        timed = (x[:, _TIME] >= 0).to(x.dtype)
        both = timed * (seed[:, _TIME] >= 0)
        return [
            east * cos + north * sin,
            north * cos - east * sin,
            x[:, _Z].abs() - seed[:, _Z].abs(),
            torch.log1p(x[:, _ENERGY].clamp(min=0)),
            (x[:, _TIME] - seed[:, _TIME]) * both,
            timed,
            nodes.layer.to(x.dtype),
            x[:, _ETA].abs(),
            (x[:, [_HIGH, _LOW]] != 0).any(1).to(x.dtype),
        ]


def seed_rows(nodes: TracksterNodes) -> Tensor:
    """Return (N,) the row of the seed of the trackster that each layer cluster is of.

    The seed is the last layer cluster with the largest Low flag where any is set, else with the largest High flag, else
    the first layer cluster.
    """
    graph, num = nodes.graph, nodes.num_graphs
    row = torch.arange(graph.shape[0], device=graph.device)

    def flagged(column: int) -> tuple[Tensor, Tensor]:
        value = nodes.x[:, column]
        top = segment_max(value, graph, num).index_select(0, graph)
        last = segment_max(torch.where(value == top, row, -1), graph, num, empty=-1)
        return segment_max((value != 0).to(torch.int64), graph, num) > 0, last

    size = segment_count(graph, num)
    (any_low, low), (any_high, high) = flagged(_LOW), flagged(_HIGH)
    seed = torch.where(any_low, low, torch.where(any_high, high, size.cumsum(0) - size))
    return seed.index_select(0, graph)


def context_columns(nodes: TracksterNodes) -> list[Tensor]:
    """Return the columns :data:`CONTEXT` (N,) each; those of the leader are 0 where there is none.

    Of several leaders, the one whose link comes last counts.
    """
    x, graph = nodes.x, nodes.graph
    energy = x[:, _ENERGY].clamp(min=_LEAST_ENERGY)
    total = segment_sum(energy, graph, nodes.num_graphs).index_select(0, graph)
    size = segment_count(graph, nodes.num_graphs).index_select(0, graph).to(x.dtype)
    leader_of_link, follower = nodes.edge_index
    link = torch.arange(follower.shape[0], device=graph.device)
    last = segment_max(link, follower, x.shape[0], empty=-1)
    led = (last >= 0).to(x.dtype)
    row = torch.arange(x.shape[0], device=graph.device)
    leader = torch.where(last >= 0, torch.cat([leader_of_link, leader_of_link.new_zeros(1)])[last], row)
    of_leader = x.index_select(0, leader)
    east, north = _offset(x, of_leader)
    return [
        (energy / total).log(),
        size.log(),
        led * (east.square() + north.square() + 1e-12).sqrt(),
        led * (x[:, _Z].abs() - of_leader[:, _Z].abs()),
        led * (energy / of_leader[:, _ENERGY].clamp(min=_LEAST_ENERGY)).log(),
        torch.log1p(segment_count(leader_of_link, x.shape[0]).to(x.dtype)),
    ]


def _offset(x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far ``x`` (N, 9), seen from the collision at the depth of ``other``, is from it in x and y: (N,)."""
    z = x[:, _Z]
    depth = torch.where(z.abs() > _LEAST_DEPTH, z, torch.where(z < 0, -_LEAST_DEPTH, _LEAST_DEPTH))
    seen = other[:, _Z] / depth
    return x[:, _X] * seen - other[:, _X], x[:, _Y] * seen - other[:, _Y]
