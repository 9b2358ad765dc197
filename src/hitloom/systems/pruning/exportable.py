"""Pruning as a module of tensors, many tracksters at once, and its contract.

Inputs come as files have them: the nine columns in cm, GeV, ns and rad; scales are inside. ``graph`` says which
trackster a layer cluster is of. The contract says so, with the names, order and units of the columns and the threshold.

What the formats can hold: all modes with messages summed by ``mean``, ``sum`` or ``max`` in every format. The tree mode
computes its marginals inside, in a loop whose length follows from the data; so does the autoregressive mode with its
steps. The LSTM that reads neighbours one by one goes into no format.

Shape letters: N layer clusters, E links.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.errors import ConfigError
from hitloom.nn.neighbours import both_ways
from hitloom.nn.traceable_tree import traceable_log_marginals
from hitloom.systems.base import ExportSignature
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.inputs import TracksterNodes
from hitloom.systems.pruning.modes import Autoregressive, Marginal, Mode
from hitloom.systems.pruning.traceable_steps import Step, Steps, scripted_steps
from hitloom.systems.pruning.tree import by_decision
from hitloom.systems.pruning.tree_mode import Tree

if TYPE_CHECKING:
    from hitloom.systems.pruning.system import Pruning

TRACED_SIZE = (67, 53)
PARITY_SIZES = ((0, 0), (1, 0), (2, 1), (40, 0), (200, 185), (1001, 400))
MOST_PER_STEP = 16
CONTRACT = "hitloom-pruning-contract"
CONTRACT_VERSION = 1
UNITS = dict(zip(PRUNING_FEATURES, ("cm", "cm", "cm", "GeV", "ns", "", "rad", "", ""), strict=True))


class ExportablePruning(nn.Module):
    """Shares the parameters of the system.

    Shapes: nodes (N, 9) float32, layer (N,) int64 where the inputs read it, edge_index (2, E) int64 with leaders above
    followers, graph (N,) int64 in rising order, each below N -> probability of pruning (N,) float32.
    """

    def __init__(self, system: Pruning) -> None:
        super().__init__()
        self.mode: Mode = system.mode
        self.reads_layer = "layer" in system.mode.inputs.fields
        self.steps: nn.Module | None = None
        if isinstance(self.mode, Autoregressive):
            self.steps = Steps(Step(self.mode.network, per_step=system.config.decisions.per_step))

    def for_tracing(self) -> ExportablePruning:
        """Return the module in the form that TorchScript takes: its steps are compiled."""
        assert isinstance(self.steps, Steps)
        traced = copy.copy(self)
        traced._modules = dict(self._modules)
        traced.steps = scripted_steps(self.steps.step, self.mode.config.hidden)
        return traced

    def forward(self, *inputs: Tensor) -> Tensor:
        nodes, *layer, edge_index, graph = inputs
        # Numbers of tracksters are below the number of layer clusters: so many segments are enough.
        taken = TracksterNodes(nodes, layer[0] if layer else None, edge_index, graph, nodes.shape[0])
        return torch.sigmoid(-self.keep_logit(taken))

    def keep_logit(self, nodes: TracksterNodes) -> Tensor:
        """Return the logit (N,) of keeping."""
        inputs = self.mode.inputs(nodes)
        if isinstance(self.mode, Tree):
            phi, psi = self.mode.model(inputs, nodes.edge_index)
            logits = by_decision(traceable_log_marginals(phi.float(), psi.float(), nodes.edge_index))
        elif self.steps is not None:
            assert isinstance(self.mode, Autoregressive)
            edges = both_ways(nodes.edge_index, inputs.shape[0])
            logit: Tensor = self.steps(self.mode.network.start(inputs).h, edges, nodes.graph)
            return logit
        else:
            assert isinstance(self.mode, Marginal)
            logits = self.mode.class_logits(inputs, nodes.edge_index).float()
        return logits[:, 0] - logits[:, 1]


def pruning_signature(system: Pruning) -> ExportSignature:
    """Return the signature of the mode with its contract.

    Raises
    ------
    ConfigError
        When no exporter can write it.
    """
    config = system.config
    if config.mode not in ("nodes", "tree") and config.sage_aggregator == "lstm":
        raise ConfigError(
            "export: sage_aggregator lstm reads neighbours one by one in an order of their number, which no exporter "
            "takes; mend: a training with sage_aggregator mean"
        )
    if config.mode == "autoregressive" and config.decisions.per_step > MOST_PER_STEP:
        raise ConfigError(
            f"export: decisions.per_step {config.decisions.per_step} is written out in every step, at most "
            f"{MOST_PER_STEP} was wanted; mend: --set model.decisions.per_step={MOST_PER_STEP}"
        )
    needs_a_point = config.mode == "tree" and config.tree.backbone == "attention"  # ONNX of graph attention
    module = ExportablePruning(system)
    names = ("nodes", *(("layer",) if module.reads_layer else ()), "edge_index", "graph")
    per_cluster = {name: {0: "num_layer_clusters"} for name in ("nodes", "layer", "graph", "probability")}

    def example(num_layer_clusters: int, num_links: int) -> tuple[Tensor, ...]:
        made = example_inputs(num_layer_clusters, num_links)
        return tuple(made[name] for name in names)

    return ExportSignature(
        module=module,
        input_names=names,
        output_names=("probability",),
        example=example,
        dynamic_axes={name: per_cluster[name] for name in (*names, "probability") if name != "edge_index"}
        | {"edge_index": {1: "num_links"}},
        traced_size=TRACED_SIZE,
        parity_sizes=PARITY_SIZES[1:] if needs_a_point else PARITY_SIZES,
        # rounding can change which of two almost equally sure layer clusters comes first, and what it tells the others
        min_agreement=0.9 if config.mode == "autoregressive" else 1.0,
        contract=contract(system, names),
        traced=module.for_tracing if config.mode == "autoregressive" else None,
    )


def contract(system: Pruning, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what a program that runs the exported file must agree on, as plain values."""
    config = system.config
    inputs = {
        "nodes": {"dtype": "float32", "shape": ["num_layer_clusters", len(PRUNING_FEATURES)]},
        "layer": {"dtype": "int64", "shape": ["num_layer_clusters"], "meaning": "number of the layer, first = 1"},
        "edge_index": {
            "dtype": "int64", "shape": [2, "num_links"],
            "meaning": "links of CLUE3D, each once: row of the leader above row of the follower",
        },
        "graph": {
            "dtype": "int64", "shape": ["num_layer_clusters"],
            "meaning": "trackster of the layer cluster; numbers rise and are below the number of layer clusters",
        },
    }  # fmt: skip
    tree = {"links": "a forest: at most one leader each, no circle; nobody checks it"} if config.mode == "tree" else {}
    return {
        "format": CONTRACT,
        "version": CONTRACT_VERSION,
        "system": system.name,
        "mode": config.mode,
        "inputs": {name: inputs[name] for name in names},
        "outputs": {
            "probability": {
                "dtype": "float32",
                "shape": ["num_layer_clusters"],
                "meaning": "probability that the layer cluster does not belong to its trackster",
            }
        },
        "features": [{"name": name, "unit": UNITS[name]} for name in PRUNING_FEATURES],
        "missing_time": "any negative number",
        "scaling": "inside the model",
        "thresholds": _decision_rule(config),
    } | tree


def _decision_rule(config: PruningConfig) -> dict[str, Any]:
    """Return the rule of a decision in words, with its numbers."""
    if config.energy_scale is None:
        return {"rule": "pruned if probability > threshold", "threshold": config.threshold}
    return {
        "rule": "pruned if probability * (1 + energy / energy_scale) > threshold",
        "threshold": config.threshold,
        "energy_scale": config.energy_scale,
        "energy_unit": "GeV",
    }


def example_inputs(num_layer_clusters: int, num_links: int) -> dict[str, Tensor]:
    """Return random tracksters: both endcaps, some times missing, links that make forests.

    Raises
    ------
    ValueError
        When so many links make no forest.
    """
    num = num_layer_clusters
    num_graphs = min(num // 20 + 1, num - num_links)
    if num_links and num_graphs < 1:
        raise ValueError(f"{num_links} links are too many for a forest of {num} layer clusters")
    generator = torch.Generator().manual_seed(1000 * num + num_links)

    def uniform(low: float, high: float, size: int = num) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=generator)

    first = torch.zeros(num, dtype=torch.bool)
    if num:
        first[0] = True
        first[torch.randperm(num - 1, generator=generator)[: num_graphs - 1] + 1] = True
    graph = first.cumsum(0) - 1
    start = first.nonzero()[:, 0]
    side = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)[graph]
    eta, phi = uniform(1.7, 2.8)[graph], uniform(-math.pi, math.pi)[graph]
    layer = torch.randint(1, 48, (num,), generator=generator)
    depth = 320.0 + 4.0 * layer
    radius = depth / eta.sinh() + 1.5 * torch.randn(num, generator=generator)
    phi = phi + 0.02 * torch.randn(num, generator=generator)
    time = torch.where(uniform(0, 1) < 0.3, -99.0, uniform(10, 14))
    columns = [
        radius * phi.cos(), radius * phi.sin(), depth * side, uniform(-3, 4).exp(), time,
        (depth / radius).asinh() * side, torch.atan2(phi.sin(), phi.cos()), (uniform(0, 1) < 0.1).float(),
        (uniform(0, 1) < 0.05).float(),
    ]  # fmt: skip
    follower = (~first).nonzero()[:, 0]
    follower = follower[torch.randperm(len(follower), generator=generator)[:num_links]]
    begin = start[graph[follower]]
    leader = begin + (uniform(0, 1, num_links) * (follower - begin)).long()
    return {
        "nodes": torch.stack(columns, 1), "layer": layer, "edge_index": torch.stack([leader, follower]), "graph": graph,
    }  # fmt: skip
