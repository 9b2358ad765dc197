"""The linking network as a module of tensors, in the form that reconstruction software calls, and its contract.

Scalers are inside: features come as the contract of the detector has them (cm, GeV, ns). The edge index has one row an
edge and the columns (out, in), the outer trackster first. The contract says so, with everything else that a program
must agree on: names, order and units of the features, scalers, thresholds.

Shape letters: N tracksters, E edges, F node features, G edge features.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hitloom.data.layer_clusters import NO_TIME
from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, edge_features
from hitloom.systems.base import ExportSignature
from hitloom.systems.linking.inputs import EDGE_OFFSET
from hitloom.systems.linking.working_point import thresholds_of

if TYPE_CHECKING:
    from hitloom.systems.linking.config import LinkingConfig
    from hitloom.systems.linking.system import Linking

TRACED_SIZE = (67, 181)
PARITY_SIZES = ((0, 0), (1, 0), (2, 1), (40, 0), (200, 650), (1001, 150))
FREE_AXES = {
    "nodes": {0: "num_tracksters"},
    "edge_features": {0: "num_edges"},
    "edge_index": {0: "num_edges"},
    "probability": {0: "num_edges"},
}
CONTRACT = "hitloom-linking-contract"
CONTRACT_VERSION = 1
INDEX_COLUMNS = ("out", "in")
_NODE_UNITS = {
    "barycenter": "cm", "EV": "cm2", "sigmaPCA": "cm", "raw_energy": "GeV", "raw_em_energy": "GeV", "z_min": "cm",
    "z_max": "cm", "time": "ns", "barycenter_eta": "", "barycenter_phi": "rad",
}  # fmt: skip
_EDGE_UNITS = {
    "delta_raw_energy": "GeV", "delta_barycenter_z": "cm", "distance_xy": "cm", "angle_eVector0": "rad",
    "delta_time": "ns", "min_vertex_distance": "cm", "max_vertex_distance": "cm",
}  # fmt: skip


class ExportableLinking(nn.Module):
    """Shares the parameters of the system.

    Shapes: nodes (N, F) float32, edge_features (E, G) float32, edge_index (E, 2) int64 with the columns (out, in) ->
    probability (E,) float32.
    """

    def __init__(self, system: Linking) -> None:
        super().__init__()
        self.network = system.network

    def forward(self, nodes: Tensor, edge_features: Tensor, edge_index: Tensor) -> Tensor:
        return self.network(nodes, edge_index.t(), edge_features).logit.float().sigmoid()


def linking_signature(system: Linking) -> ExportSignature:
    """Return the signature of the network with its contract."""
    num_edge_features = len(system.network.inputs.edge_features)

    def example(num_tracksters: int, num_edges: int) -> tuple[Tensor, ...]:
        return example_inputs(num_tracksters, num_edges, num_edge_features)

    return ExportSignature(
        module=ExportableLinking(system),
        input_names=("nodes", "edge_features", "edge_index"),
        output_names=("probability",),
        example=example,
        dynamic_axes=FREE_AXES,
        traced_size=TRACED_SIZE,
        parity_sizes=PARITY_SIZES,
        contract=contract(system),
    )


def contract(system: Linking) -> dict[str, Any]:
    """Return what a program that runs the exported file must agree on, as plain values."""
    inputs = system.network.inputs
    return {
        "format": CONTRACT,
        "version": CONTRACT_VERSION,
        "system": system.name,
        "inputs": {
            "nodes": {"dtype": "float32", "shape": ["num_tracksters", len(NODE_FEATURES)]},
            "edge_features": {"dtype": "float32", "shape": ["num_edges", len(inputs.edge_features)]},
            "edge_index": {"dtype": "int64", "shape": ["num_edges", 2]},
        },
        "outputs": {
            "probability": {
                "dtype": "float32",
                "shape": ["num_edges"],
                "meaning": "probability that both tracksters of the edge are of one particle",
            }
        },
        "node_features": [{"name": name, "unit": _unit(name)} for name in NODE_FEATURES],
        "edge_features": [{"name": name, "unit": _EDGE_UNITS[name]} for name in inputs.edge_features],
        "index_columns": list(INDEX_COLUMNS),
        "index_meaning": {
            "out": "row of the outer trackster (larger |z| of the barycentre)",
            "in": "row of the inner trackster (smaller |z| of the barycentre)",
        },
        "missing_time": NO_TIME,
        "scaling": {
            "inside_the_model": True,
            "rule": "x' = T(x) / node_scaler, e' = (U(e) + edge_offset) / edge_scaler; T and U by the transform below",
            "transform": inputs.config.model_dump(mode="json"),
            "node_scaler": inputs.node_scale.tolist(),
            "edge_scaler": inputs.edge_scale.tolist(),
            "edge_offset": EDGE_OFFSET,
        },
        "thresholds": {
            "energy": "larger raw_energy of the two tracksters of the edge, GeV",
            "rule": "an edge joins its tracksters if probability > cut of the first entry with energy < max_energy",
            "entries": thresholds(system.config),
        },
        "partition": "connected components of the joining edges; each trackster without one is a component alone",
    }


def thresholds(config: LinkingConfig) -> list[dict[str, float | None]]:
    """Return the working point as entries of ``max_energy`` (None = any) and ``cut``, by rising energy."""
    cuts = thresholds_of(config).cuts
    return [{"max_energy": None if math.isinf(limit) else limit, "cut": cut} for limit, cut in cuts]


def example_inputs(num_tracksters: int, num_edges: int, num_edge_features: int) -> tuple[Tensor, ...]:
    """Return random inputs of the right size and range: both endcaps, some times missing, some tracksters alone."""
    generator = torch.Generator().manual_seed(1000 * num_tracksters + num_edges)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(num_tracksters, generator=generator)

    side = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    eta, phi, depth = uniform(1.6, 2.9), uniform(-math.pi, math.pi), uniform(322, 513)
    radius = depth / torch.sinh(eta)
    axis = torch.nn.functional.normalize(torch.randn(num_tracksters, 3, generator=generator), dim=1)
    energy, spread = uniform(0, 6).exp(), uniform(0.1, 12)
    columns = {
        "barycenter_x": radius * phi.cos(), "barycenter_y": radius * phi.sin(), "barycenter_z": depth * side,
        "barycenter_eta": eta * side, "barycenter_phi": phi, "EV1": spread**2, "EV2": (spread / 3) ** 2,
        "EV3": (spread / 5) ** 2, "sigmaPCA1": spread, "sigmaPCA2": spread / 3, "sigmaPCA3": spread / 5,
        "num_LCs": uniform(2, 60).floor(), "num_hits": uniform(4, 600).floor(), "raw_energy": energy,
        "raw_em_energy": energy * uniform(0, 1), "z_min": depth * side - 5, "z_max": depth * side + 5,
        "LC_density": uniform(0, 0.2), "trackster_density": uniform(0, 3),
        "time": torch.where(uniform(0, 1) < 0.3, NO_TIME, uniform(10, 14)),
    }  # fmt: skip
    columns |= {f"eVector0_{name}": axis[:, place] for place, name in enumerate("xyz")}
    nodes = torch.stack([columns[name] if name in columns else uniform(0, 1) for name in NODE_FEATURES], 1)
    reached = max(2, 9 * num_tracksters // 10)
    first = torch.randint(reached, (num_edges,), generator=generator)
    second = (first + torch.randint(1, reached, (num_edges,), generator=generator)) % reached
    outer = depth[first] >= depth[second] if num_edges else torch.zeros(0, dtype=torch.bool)
    index = torch.stack([torch.where(outer, first, second), torch.where(outer, second, first)], 1)
    made = torch.from_numpy(edge_features(nodes.double().numpy(), index.t().flip(0).numpy())).float()
    more = torch.rand(num_edges, num_edge_features - len(EDGE_FEATURES), generator=generator) * 50
    return nodes, torch.cat([made, more], 1), index


def _unit(name: str) -> str:
    """Return the unit of a node feature, empty for a number without one."""
    found = [key for key in _NODE_UNITS if name.startswith(key)]
    return _NODE_UNITS[max(found, key=len)] if found else ""
