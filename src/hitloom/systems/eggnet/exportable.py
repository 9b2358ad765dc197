"""EggNet as a module of tensors: features of one event in; embedding, and score and survivors where there are any, out.

The neighbour search is inside. Points that a hard filter drops are masked, not removed, so that shapes stay known.

Shape letters: N points, F features, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hitloom.errors import ConfigError
from hitloom.nn.traceable_knn import traceable_knn
from hitloom.systems.base import ExportSignature

if TYPE_CHECKING:
    from hitloom.systems.eggnet.network import EggNet


class ExportableEggNet(nn.Module):
    """The network of a system, sharing its parameters.

    Shapes: features (N, F) float32, unscaled, columns as ``config.node_features`` -> embedding (N, D) float32,
    point_score (N,) float32 if ``output_node_score``, kept (N,) bool if ``node_hard_filter``.
    """

    def __init__(self, system: EggNet) -> None:
        super().__init__()
        self.system = system

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        system, config = self.system, self.system.config
        hard, soft = config.node_hard_filter, config.node_soft_filter
        v = system.encoder(system.inputs(features))
        x = system.node_0(v)
        kept = torch.ones_like(features[:, 0], dtype=torch.bool)
        dropped_z: Tensor | None = None
        dropped_logit: Tensor | None = None
        for i, k in enumerate(config.neighbours_per_iteration):
            z = system.decode(i, x)
            chosen = kept
            if len(hard) > 1 or soft:
                logit = system.score(i, x)
                probability = logit.sigmoid()
                if len(hard) > 1:
                    gone = kept & (probability <= hard[i])
                    dropped_z = z if dropped_z is None else torch.where(gone[:, None], z, dropped_z)
                    dropped_logit = logit if dropped_logit is None else torch.where(gone, logit, dropped_logit)
                    kept = kept & ~gone
                chosen = kept & (probability > soft[i]) if soft else kept
            index = traceable_knn(z, k, asks=kept, chosen=chosen, r_max=config.r_max)
            start = v if config.recycle_node_representation else x
            x = system.blocks[0 if config.recurrent else i](start, index)
        last = config.num_iterations
        embedding = system.decode(last, x)
        if dropped_z is not None:
            embedding = torch.where(kept[:, None], embedding, dropped_z)
        if not config.output_node_score:
            return (embedding,)
        score = system.score(last, x)
        if dropped_logit is not None:
            score = torch.where(kept, score, dropped_logit)
        return (embedding, score, kept & (score.sigmoid() > hard[-1])) if hard else (embedding, score)

    def reference(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the same from the system's own forward pass."""
        scores = self.system.run(features)
        return tuple(value for value in (scores.embedding, scores.point_score, scores.kept) if value is not None)


def export_signature(system: EggNet) -> ExportSignature:
    """Return the module, the names of its tensors, and a maker of inputs of any size.

    Raises
    ------
    ConfigError
        With batch normalisation and hard filters between iterations: dropped points would enter the statistics.
    """
    config = system.config
    if config.batchnorm and len(config.node_hard_filter) > 1:
        raise ConfigError(
            "export: batchnorm with node_hard_filter between iterations cannot be exported; mend: layernorm, or one cut"
        )
    outputs = ["embedding"]
    if config.output_node_score:
        outputs.append("point_score")
    if config.node_hard_filter:
        outputs.append("kept")

    def example(num_points: int) -> tuple[Tensor]:
        generator = torch.Generator().manual_seed(num_points)
        features = torch.randn(num_points, len(config.node_features), generator=generator)
        return (features * system.scale.cpu(),)

    return ExportSignature(
        module=ExportableEggNet(system),
        input_names=("features",),
        output_names=tuple(outputs),
        example=example,
        dynamic_axes={name: {0: "num_points"} for name in ("features", *outputs)},
        min_agreement=0.99,
    )
