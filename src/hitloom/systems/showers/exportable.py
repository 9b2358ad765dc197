"""Shower growing as modules of tensors: the three parts that a C++ chain runs, and one fused form from hits of a view.

Parts, float32 on the CPU: ``encoder`` (1, hits, F) -> (1, 1, e) once for each cluster, ``attention`` (1, N, e) ->
(1, N, a), ``similarity`` (1, N, a) -> (1, N, N). The features of hits are scaled and logged by the caller; the encoder
limits logarithms from below as training did, so a hit without energy is no -inf.

Fused: hits of one view as files have them (cm, MIP), the cluster of each, the view of each cluster -> similarity
(N, N). Scales and logarithms are inside; the contract names the columns.

Memory of the pair head is bounded: TorchScript goes through blocks of rows in a compiled loop, the other formats
through blocks of hidden units, whose number is fixed.

Shape letters: N clusters, M hits, C raw columns of a hit, F features of a hit, H hidden width of the pair head.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hitloom.data.shower_columns import LOG_FLOOR, SUMMARY, column, column_report
from hitloom.data.shower_layout import CLUSTER_FEATURES, HIT_FEATURES, VIEWS
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.nn.pair_head import PairHead
from hitloom.nn.ragged_sets import ragged_sets
from hitloom.nn.set_transformer import SetTransformer
from hitloom.systems.base import ExportSignature
from hitloom.systems.showers.inputs import BEFORE

if TYPE_CHECKING:
    from hitloom.systems.showers.network import ShowerNetwork
    from hitloom.systems.showers.system import Showers

CONTRACT = "hitloom-showers-contract"
CONTRACT_VERSION = 1
BLOCK_NUMBERS = 2**18  # numbers of a block of the pair head in TorchScript, unless one row has more
BLOCK_HIDDEN = 8  # hidden units of a block of the pair head in the other formats
TRACED_SIZE = (67, 211)
PARITY_SIZES = ((1, 1), (2, 2), (7, 7), (40, 400), (200, 700))
PART_SIZES = ((1,), (2,), (7,), (40,), (200,))
_UNITS = {"x": "cm", "z": "cm", "x_width": "cm", "x_gap": "cm", "pitch": "cm", "energy": "MIP"}
_NOT_FUSED = (SUMMARY, "true_id")


class EncoderPart(nn.Module):
    """Shapes: (1, hits, F) -> (1, 1, e)."""

    if TYPE_CHECKING:  # TorchScript reads annotations of a class and does not know these
        floor: Tensor

    def __init__(self, network: ShowerNetwork, names: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.expand = network.expand
        least = torch.full((len(names),), -torch.inf)
        least[[column(name).log for name in names]] = torch.tensor(LOG_FLOOR).log()
        self.register_buffer("floor", least, persistent=False)

    def forward(self, hits: Tensor) -> Tensor:
        return self.encoder(self.expand(torch.maximum(hits, self.floor)))


class AttentionPart(nn.Module):
    """Shapes: (1, N, e) -> (1, N, a)."""

    def __init__(self, attention: SetTransformer) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, vectors: Tensor) -> Tensor:
        return self.attention(vectors)


class SimilarityPart(nn.Module):
    """Shapes: (1, N, a) -> probabilities (1, N, N)."""

    def __init__(self, head: PairHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, vectors: Tensor) -> Tensor:
        return pair_logits(self.head, vectors[0]).sigmoid()[None]


class ScriptedSimilarity(nn.Module):
    """The same as :class:`SimilarityPart`, written for the compiler of TorchScript."""

    if TYPE_CHECKING:
        pair: Any

    def __init__(self, head: PairHead) -> None:
        super().__init__()
        self.pair, self.single = head.pair, head.single
        self.symmetric = head.symmetric
        self.block = BLOCK_NUMBERS // self.pair[0].out_features

    def forward(self, vectors: Tensor) -> Tensor:
        """Go through as many rows at once as fit into a block."""
        x = vectors[0]
        num = x.shape[0]
        first, last = self.pair[0], self.pair[2]
        width = x.shape[1]
        left = nn.functional.linear(x, first.weight[:, :width], first.bias)
        right = nn.functional.linear(x, first.weight[:, width:])
        rows = max(1, self.block // max(1, num))
        one_order = torch.empty((num, num), dtype=torch.float32)
        for start in range(0, num, rows):
            hidden = (left[start : start + rows, None, :] + right[None, :, :]).relu_()
            one_order[start : start + rows] = torch.matmul(hidden, last.weight[0]) + last.bias
        if self.symmetric:
            both = 0.5 * (one_order + one_order.t())
        else:
            upper = one_order.triu(1)
            both = upper + upper.t()
        logits = both.diagonal_scatter(self.single(x)[:, 0])
        return torch.sigmoid(logits)[None]


def pair_logits(head: PairHead, vectors: Tensor) -> Tensor:
    """Return the logits (N, N) of a pair head in a fixed number of steps, for any exporter."""
    left, right = head.project(vectors)
    last: Any = head.pair[2]
    weight: Tensor = last.weight[0]
    one_order = (left[:, :1] * right[None, :, 0] * 0.0) + last.bias
    for first in range(0, weight.shape[0], BLOCK_HIDDEN):
        block = slice(first, first + BLOCK_HIDDEN)
        hidden = torch.relu(left.T[block, :, None] + right.T[block, None, :])
        one_order = one_order + (hidden * weight[block, None, None]).sum(0)
    if head.symmetric:
        both = 0.5 * (one_order + one_order.T)
    else:
        upper = one_order.triu(1)
        both = upper + upper.T
    here = torch.arange(vectors.shape[0], device=vectors.device)
    return torch.where(here[:, None] == here, head.diagonal(vectors)[:, None], both)


class FusedShowers(nn.Module):
    """Shapes: hits (M, C) float32, cluster (M,) int64, cluster_view (N,) int64 [, tier (N,) float32] -> (N, N).

    Parameters
    ----------
    system : Showers
    scripted : nn.Module, optional
        The pair head in place of the one that any exporter takes.
    """

    def __init__(self, system: Showers, scripted: nn.Module | None = None) -> None:
        super().__init__()
        inputs, self.network = system.inputs, system.network
        self.names, self.scales = inputs.names, dict(inputs.scales)
        self.replaced = set() if inputs.shows_added else set(inputs.added)
        self.columns = raw_columns(inputs.names)
        self.similarity = SimilarityPart(self.network.similarity) if scripted is None else scripted
        self._system = [system]  # not one of the modules: its parameters are here already

    def reference(self, hits: Tensor, cluster: Tensor, cluster_view: Tensor, tier: Tensor | None = None) -> Tensor:
        """Return the similarity as the system computes it: named columns of an event, blocks of clusters."""
        num = cluster_view.shape[0]
        num_hits = torch.bincount(cluster, minlength=num).float()
        event = Event(
            pos=hits.new_zeros(num, 3), layer=cluster_view, part_x=hits, part_feature_names=list(self.columns),
            part_point_index=cluster, x=torch.stack([num_hits, num_hits * 0 if tier is None else tier], 1),
            feature_names=list(CLUSTER_FEATURES),
        )  # fmt: skip
        similarity: Tensor = self._system[0](event).own["similarity"]
        return similarity.view(num, num)

    def forward(self, hits: Tensor, cluster: Tensor, cluster_view: Tensor, tier: Tensor | None = None) -> Tensor:
        num = cluster_view.shape[0]
        rows = self.network.expand(self.features(hits, cluster, cluster_view, tier))
        vectors = ragged_sets(self.network.encoder, rows, cluster, num)
        similarity: Tensor = self.similarity(self.network.attention(vectors[None]))
        return similarity[0]

    def features(self, hits: Tensor, cluster: Tensor, cluster_view: Tensor, tier: Tensor | None = None) -> Tensor:
        """Return the features (M, F) that the encoder reads."""
        raw = {name: hits[:, place] for place, name in enumerate(self.columns)}
        radius = torch.sqrt(raw["x"].square() + raw["z"].square()) if "x" in raw and "z" in raw else hits[:, 0] * 0
        safe = torch.where(radius > 0, radius, 1.0)
        one = torch.ones_like(cluster, dtype=torch.float32)
        counts = torch.zeros_like(cluster_view, dtype=torch.float32).index_add(0, cluster, one)
        view = cluster_view.index_select(0, cluster)
        stage = one if tier is None else tier.index_select(0, cluster) + 1
        made = raw | {
            "r": radius, "cos": raw.get("x", radius) / safe, "sin": raw.get("z", radius) / safe, "zero": one * 0,
            "num_hits": counts.index_select(0, cluster), "tier": stage,
            "num_clusters": torch.ones_like(counts).sum() * one,
        } | {f"view_{letter.lower()}": (view == code).float() for code, letter in VIEWS.items()}  # fmt: skip
        rows = []
        for name in self.names:
            of = column(name)
            if name.startswith("volume_"):
                value = ((raw["tpc_volume"] == int(name[-2])) & (raw["daughter_volume"] == int(name[-1]))).float()
            else:
                value = one * BEFORE if name in self.replaced else made[name]
            value = value.clamp(min=LOG_FLOOR).log() if of.log else value
            rows.append(value * self.scales[of.scale] if of.scale else value)
        return torch.stack(rows, 1)


def raw_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of files that these features are made of, in the order of :data:`HIT_FEATURES`."""
    wanted = {name for name in names if name in HIT_FEATURES}
    if {"r", "cos", "sin"} & set(names):
        wanted |= {"x", "z"}
    if any(name.startswith("volume_") for name in names):
        wanted |= {"tpc_volume", "daughter_volume"}
    return tuple(name for name in HIT_FEATURES if name in wanted)


def scripted(module: nn.Module) -> nn.Module:
    """Return the module as TorchScript compiles it, control flow included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module.eval())  # type: ignore[no-any-return]


def showers_signature(system: Showers) -> ExportSignature:
    """Return the signature of the fused form with its contract.

    Raises
    ------
    ConfigError
        When the inputs have summary rows or the cheat of true identifiers, which no file takes.
    """
    names = system.inputs.names
    refused = [name for name in names if name in _NOT_FUSED]
    if refused:
        raise ConfigError(
            f"export: column '{refused[0]}' cannot be made from the hits of a view inside a file; mend: a training "
            "with inputs.preset 8, 9 or 10"
        )
    with_tier = "tier" in names
    module = FusedShowers(system)
    input_names = ("hits", "cluster", "cluster_view", *(("tier",) if with_tier else ()))

    def example(num_clusters: int, num_hits: int) -> tuple[Tensor, ...]:
        made = example_view(num_clusters, num_hits, module.columns)
        return made if with_tier else made[:3]

    clusters = {0: "num_clusters"}
    return ExportSignature(
        module=module,
        input_names=input_names,
        output_names=("similarity",),
        example=example,
        dynamic_axes={
            "hits": {0: "num_hits"}, "cluster": {0: "num_hits"}, "cluster_view": clusters,
            **({"tier": clusters} if with_tier else {}), "similarity": {0: "num_clusters", 1: "num_clusters"},
        },
        traced_size=TRACED_SIZE,
        parity_sizes=PARITY_SIZES,
        contract=contract(system, module.columns, input_names),
        traced=lambda: FusedShowers(system, scripted(ScriptedSimilarity(system.network.similarity))),
    )  # fmt: skip


def part_signatures(system: Showers) -> dict[str, ExportSignature]:
    """Return the signatures of ``encoder``, ``attention`` and ``similarity``, by name."""
    network, names = system.network, system.inputs.names
    widths = (len(names), network.encoder.last.out_features, network.attention.last.out_features)
    encoder, attention = EncoderPart(network, names), AttentionPart(network.attention)
    similarity, fused = SimilarityPart(network.similarity), FusedShowers(system)

    def one_cluster(num_hits: int) -> tuple[Tensor, ...]:
        hits, cluster, view, _ = example_view(1, num_hits, fused.columns)
        return (fused.features(hits, cluster, view)[None],)

    return {
        "encoder": _part(
            encoder, ("hits", widths[0], "num_hits"), ("vector", {0: "one"}), lambda: scripted(encoder),
            example=one_cluster,
        ),
        "attention": _part(
            attention, ("vectors", widths[1], "num_clusters"), ("context", {0: "one", 1: "num_clusters"}),
            lambda: scripted(attention),
        ),
        "similarity": _part(
            similarity, ("context", widths[2], "num_clusters"),
            ("similarity", {0: "one", 1: "num_clusters", 2: "num_clusters"}),
            lambda: scripted(ScriptedSimilarity(network.similarity)),
        ),
    }  # fmt: skip


def _part(
    module: nn.Module,
    takes: tuple[str, int, str],
    gives: tuple[str, dict[int, str]],
    traced: Any,
    example: Any = None,
) -> ExportSignature:
    name, width, free = takes

    def random(size: int) -> tuple[Tensor, ...]:
        return (torch.randn(1, size, width, generator=torch.Generator().manual_seed(1000 * width + size)),)

    return ExportSignature(
        module=module.eval(), input_names=(name,), output_names=(gives[0],), example=example or random,
        dynamic_axes={name: {1: free}, gives[0]: gives[1]}, parity_sizes=PART_SIZES, traced=traced,
    )  # fmt: skip


def contract(system: Showers, columns: tuple[str, ...], input_names: tuple[str, ...]) -> dict[str, Any]:
    """Return what a program that runs the fused file must agree on, as plain values."""
    grouping = system.config.grouping
    inputs = {
        "hits": {"dtype": "float32", "shape": ["num_hits", len(columns)]},
        "cluster": {"dtype": "int64", "shape": ["num_hits"], "meaning": "cluster of the hit, every one has a hit"},
        "cluster_view": {
            "dtype": "int64", "shape": ["num_clusters"], "meaning": "4 = U, 5 = V, 6 = W; one view at a time",
        },
        "tier": {"dtype": "float32", "shape": ["num_clusters"], "meaning": "how often clusters were merged before"},
    }  # fmt: skip
    return {
        "format": CONTRACT,
        "version": CONTRACT_VERSION,
        "system": system.name,
        "inputs": {name: inputs[name] for name in input_names},
        "outputs": {
            "similarity": {
                "dtype": "float32",
                "shape": ["num_clusters", "num_clusters"],
                "meaning": "how far two clusters are of one true particle, symmetric",
            }
        },
        "hit_columns": [{"name": name, "unit": _UNITS.get(name, "")} for name in columns],
        "features": column_report(system.inputs.names),
        "scales": dict(system.inputs.scales),
        "scaling": "inside the model",
        "similarity_form": system.config.similarity.form,
        "trained_with_augmentation": system.config.augmentation.enabled,
        "thresholds": {
            "rule": "connected accessory clustering: a pair is joined if similarity > threshold",
            "mode": grouping.mode,
            "threshold": grouping.threshold,
            "second_threshold": grouping.second_threshold,
            "accessory_max_hits": grouping.accessory_max_hits,
        },
    }


def example_view(num_clusters: int, num_hits: int, columns: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Return the hits (M, C), cluster (M,), cluster_view (N,) and tier (N,) of a random view.

    Raises
    ------
    ValueError
        When there are fewer hits than clusters, or hits without clusters.
    """
    if num_hits < num_clusters or (num_hits and not num_clusters):
        raise ValueError(f"{num_hits} hits do not make {num_clusters} clusters")
    generator = torch.Generator().manual_seed(1000 * num_clusters + num_hits)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(num_hits, generator=generator)

    made = {
        "x": uniform(-80, 80), "z": uniform(-80, 80), "x_width": uniform(0.25, 1), "x_gap": uniform(-60, 60),
        "pitch": torch.full((num_hits,), 0.479), "energy": uniform(-3, 2).exp(),
        "tpc_volume": uniform(0, 2).floor(), "daughter_volume": uniform(0, 2).floor(),
    }  # fmt: skip
    rest = torch.randint(0, max(1, num_clusters), (num_hits - num_clusters,), generator=generator)
    cluster = torch.cat([torch.arange(num_clusters), rest])[torch.randperm(num_hits, generator=generator)]
    hits = torch.stack([made[name] for name in columns], 1)
    return hits, cluster, torch.full((num_clusters,), 6), torch.zeros(num_clusters)
