"""The network of shower growing: hits of a cluster -> its vector -> context of the view -> similarity of pairs.

Shape letters: N clusters of all views, R rows of hits, B views, F columns, P = sum over views of (clusters of it)^2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hitloom.nn.pair_head import PairHead
from hitloom.nn.set_buckets import mapped_sets, pooled_sets
from hitloom.nn.set_transformer import SetTransformer
from hitloom.systems.showers.config import SetConfig, ShowersConfig
from hitloom.systems.showers.expansion import HitExpansion


class Similarities(NamedTuple):
    """``logit`` (P,) float32: the matrices of the views, row-major, one after the other; ``vectors`` (N, d)."""

    logit: Tensor
    vectors: Tensor


class ShowerNetwork(nn.Module):
    """Encoder, attention among the clusters of a view, and pair head.

    Parameters
    ----------
    config : ShowersConfig
    names : sequence of str
        The columns F.
    scales : mapping
        1/cm of the detector, by name.
    """

    def __init__(self, config: ShowersConfig, *, names: Sequence[str], scales: Mapping[str, float]) -> None:
        super().__init__()
        self.expand: nn.Module = nn.Identity()
        num_inputs = len(names)
        if config.inputs.num_waves:
            self.expand = HitExpansion(names, scales, num_waves=config.inputs.num_waves)
            num_inputs = self.expand.num_outputs
        self.encoder = set_transformer(config.encoder, num_inputs=num_inputs, pool=True)
        self.attention = set_transformer(config.attention, num_inputs=config.encoder.embedding, pool=False)
        head = config.similarity
        self.similarity = PairHead(
            num_inputs=config.attention.embedding, hidden=head.hidden, symmetric=head.form == "symmetric",
            max_pairs=head.max_pairs,
        )  # fmt: skip

    def forward(self, rows: Tensor, cluster: Tensor, sizes: Tensor) -> Similarities:
        """Return the similarities of the clusters of each view.

        Parameters
        ----------
        rows : (R, F)
        cluster : (R,) int64
            Cluster of each row, in any order.
        sizes : (B,) int64
            Clusters of each view; they come one view after the other.
        """
        vectors = self.context(self.encode(rows, cluster, int(sizes.sum())), sizes)
        left, right = self.similarity.project(vectors)
        diagonal = self.similarity.diagonal(vectors)
        first, parts = 0, []
        for size in sizes.tolist():
            here = slice(first, first + size)
            parts.append(self.similarity.from_parts(left[here], right[here], diagonal[here]).flatten())
            first += size
        return Similarities(torch.cat(parts) if parts else left.new_zeros(0), vectors)

    def encode(self, rows: Tensor, cluster: Tensor, num_clusters: int) -> Tensor:
        """Return the vector of each cluster (N, E) from its rows."""
        return pooled_sets(self.encoder, self.expand(rows), cluster, num_clusters, self.encoder.last.out_features)

    def context(self, vectors: Tensor, sizes: Tensor) -> Tensor:
        """Return the vectors (N, d) after attention among the clusters of each view."""
        return mapped_sets(self.attention, vectors, sizes, self.attention.last.out_features)

    def idle_parameters(self) -> set[str]:
        """Return the names of parameters that never get a gradient."""
        parts = {"encoder": self.encoder, "attention": self.attention}
        return {f"{part}.{name}" for part, module in parts.items() for name in module.idle_parameters()}


def set_transformer(config: SetConfig, *, num_inputs: int, pool: bool) -> SetTransformer:
    """Return the set transformer that a section of the configuration describes."""
    return SetTransformer(
        num_inputs=num_inputs, width=config.hidden, num_outputs=config.embedding, num_heads=config.num_heads,
        num_inducing=config.num_inducing, depth=config.depth, pool=pool, layer_norm=config.layer_norm,
    )  # fmt: skip
