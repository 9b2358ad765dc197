"""From the features of the contract to what the networks read: transformed, scaled, safe for what is missing.

x' = T(x) / max |T(x)|, e' = (U(e) + 1e-4) / max |U(e)|, both maxima over the training set and stored with the weights.
A column that is always 0 is divided by 1; times that do not exist never enter a maximum.

Shape letters: N nodes, F inputs of a node, E edges, G inputs of an edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hitloom.data.layer_clusters import NO_TIME
from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, SKELETON_EDGE_FEATURES
from hitloom.event import Event
from hitloom.systems.linking.config import InputConfig

EDGE_OFFSET = 1e-4
_AT = {name: place for place, name in enumerate(NODE_FEATURES)}
_TIME, _EDGE_TIME = _AT["time"], EDGE_FEATURES.index("delta_time")
_LOG_NODES = [_AT[name] for name in (
    "EV1", "EV2", "EV3", "sigmaPCA1", "sigmaPCA2", "sigmaPCA3", "num_LCs", "num_hits", "raw_energy", "raw_em_energy",
)]  # fmt: skip
_LOG_EDGES = [EDGE_FEATURES.index(name) for name in ("delta_raw_energy", "delta_barycenter_z", "distance_xy")]
RELATIVE = (
    "delta_abs_eta", "delta_phi", "log_energy_ratio", "projected_distance", "gap_z", "cos_axis_outer", "cos_axis_inner",
    "log_min_energy", "log_max_energy",
)  # fmt: skip


class TracksterInputs(nn.Module):
    """Features in, network inputs out; ``node_scale``, ``edge_scale`` and ``fitted`` travel with the weights.

    Shapes: x (N, 29), edge_index (2, E) outer above inner, edge_attr (E, 5 or 7) -> (N, F), (E, G).

    Parameters
    ----------
    config : InputConfig
    """

    node_scale: Tensor
    edge_scale: Tensor
    fitted: Tensor

    def __init__(self, config: InputConfig) -> None:
        super().__init__()
        self.config = config
        mask = int(config.missing_time == "mask")
        self.num_node_inputs = len(NODE_FEATURES) + {"raw": 0, "sin-cos": 1, "invariant": -2}[config.phi] + mask
        self.edge_features = SKELETON_EDGE_FEATURES if config.skeleton else EDGE_FEATURES
        self.num_edge_inputs = len(self.edge_features) + mask + (len(RELATIVE) if config.relative else 0)
        self.register_buffer("node_scale", torch.ones(self.num_node_inputs))
        self.register_buffer("edge_scale", torch.ones(self.num_edge_inputs))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scaled inputs of nodes (N, F) and edges (E, G)."""
        nodes = self.nodes(x) / self.node_scale
        edges = (self.edges(x, edge_index, edge_attr) + EDGE_OFFSET) / self.edge_scale
        return nodes, edges

    @torch.no_grad()
    def fit(self, events: Iterable[Event]) -> None:
        """Take the scales from events; none of them may be of the validation or the test set."""
        node, edge = torch.zeros(self.num_node_inputs), torch.zeros(self.num_edge_inputs)
        for event in events:
            x = event.columns(NODE_FEATURES)
            edge_index, edge_attr = event.edge_index.flip(0), event.edge_attr[:, : len(self.edge_features)]
            nodes, edges = self.nodes(x).abs(), self.edges(x, edge_index, edge_attr).abs()
            if self.config.missing_time == "keep":
                missing = _missing(x)
                nodes[missing, -1] = 0.0
                edges[missing[edge_index].any(0), _EDGE_TIME] = 0.0
            node = torch.maximum(node, nodes.amax(0)) if len(nodes) else node
            edge = torch.maximum(edge, edges.amax(0)) if len(edges) else edge
        self.node_scale.copy_(torch.where(node > 0, node, 1.0))
        self.edge_scale.copy_(torch.where(edge > 0, edge, 1.0))
        self.fitted.fill_(True)

    # ------------------------------------------------------------------ columns before the scaling

    def nodes(self, x: Tensor) -> Tensor:
        """Return the transformed features (N, F)."""
        config = self.config
        if config.mirror:
            x = mirrored(x)
        missing = _missing(x)
        columns = list(x.unbind(1))
        if config.log:
            for place in _LOG_NODES:
                columns[place] = _log(columns[place])
        if config.missing_time != "keep":
            columns[_TIME] = torch.where(missing, 0.0, columns[_TIME])
        if config.phi == "sin-cos":
            phi = columns[_AT["barycenter_phi"]]
            columns[_AT["barycenter_phi"]] = torch.sin(phi)
            columns.insert(_TIME, torch.cos(phi))
        elif config.phi == "invariant":
            radius, radial, azimuthal = _in_cylinder(x)
            columns[_AT["barycenter_x"]] = radius
            columns[_AT["eVector0_x"]], columns[_AT["eVector0_y"]] = radial, azimuthal
            del columns[_AT["barycenter_phi"]], columns[_AT["barycenter_y"]]
        if config.missing_time == "mask":
            columns.insert(len(columns) - 1, missing.to(x.dtype))
        return torch.stack(columns, 1)

    def edges(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Return the transformed features (E, G)."""
        config = self.config
        missing = _missing(x)
        missing = missing.index_select(0, edge_index[0]) | missing.index_select(0, edge_index[1])
        columns = list(edge_attr.unbind(1))
        if config.log:
            for place in _LOG_EDGES:
                columns[place] = _log(columns[place])
        if config.missing_time != "keep":
            columns[_EDGE_TIME] = torch.where(missing, 0.0, columns[_EDGE_TIME])
        if config.missing_time == "mask":
            columns.append(missing.to(x.dtype))
        if config.relative:
            columns.extend(_relative(x.index_select(0, edge_index[0]), x.index_select(0, edge_index[1])))
        return torch.stack(columns, 1)


def mirrored(x: Tensor) -> Tensor:
    """Return the features (N, 29) with tracksters of the backward endcap mirrored into the forward one."""
    back = x[:, _AT["barycenter_z"]] < 0
    columns = list(x.unbind(1))
    for name in ("barycenter_z", "barycenter_eta", "eVector0_z"):
        columns[_AT[name]] = torch.where(back, -columns[_AT[name]], columns[_AT[name]])
    low, high = columns[_AT["z_min"]], columns[_AT["z_max"]]
    columns[_AT["z_min"]] = torch.where(back, -high, low)
    columns[_AT["z_max"]] = torch.where(back, -low, high)
    return torch.stack(columns, 1)


def _missing(x: Tensor) -> Tensor:
    return x[:, _TIME] <= NO_TIME + 1.0


def _log(value: Tensor) -> Tensor:
    """log(1 + |v|) with the sign of v."""
    return torch.sign(value) * torch.log1p(value.abs())


def _in_cylinder(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the radius of the barycentre, and the radial and azimuthal part of the axis. Shapes: (N,) each."""
    px, py, ax, ay = (x[:, _AT[name]] for name in ("barycenter_x", "barycenter_y", "eVector0_x", "eVector0_y"))
    radius = torch.sqrt(px.square() + py.square())
    safe = radius.clamp(min=1e-6)
    return radius, (ax * px + ay * py) / safe, (ay * px - ax * py) / safe


def _relative(outer: Tensor, inner: Tensor) -> list[Tensor]:
    """Return the columns :data:`RELATIVE` (E,) from the features (E, 29) of both ends; the same in both endcaps."""
    outer, inner = mirrored(outer), mirrored(inner)

    def of(nodes: Tensor, *names: str) -> Tensor:
        return torch.stack([nodes[:, _AT[name]] for name in names], 1)

    position, axis = ("barycenter_x", "barycenter_y", "barycenter_z"), ("eVector0_x", "eVector0_y", "eVector0_z")
    p_out, p_in = of(outer, *position), of(inner, *position)
    turn = outer[:, _AT["barycenter_phi"]] - inner[:, _AT["barycenter_phi"]]
    dphi = (turn - 2 * math.pi * torch.round(turn / (2 * math.pi))).abs()
    energy_out, energy_in = outer[:, _AT["raw_energy"]].clamp(min=1e-3), inner[:, _AT["raw_energy"]].clamp(min=1e-3)
    # the outer barycentre seen from the origin, at the depth of the inner one
    seen = p_out[:, :2] * (p_in[:, 2:] / p_out[:, 2:].clamp(min=1e-3))
    step = p_out - p_in
    direction = step / step.square().sum(1, keepdim=True).sqrt().clamp(min=1e-6)
    return [
        (outer[:, _AT["barycenter_eta"]] - inner[:, _AT["barycenter_eta"]]).abs(),
        dphi,
        torch.log(energy_out / energy_in),
        (seen - p_in[:, :2]).square().sum(1).clamp(min=1e-12).sqrt(),
        outer[:, _AT["z_min"]] - inner[:, _AT["z_max"]],
        (direction * of(outer, *axis)).sum(1),
        (direction * of(inner, *axis)).sum(1),
        torch.log(torch.minimum(energy_out, energy_in)),
        torch.log(torch.maximum(energy_out, energy_in)),
    ]
