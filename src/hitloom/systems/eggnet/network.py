"""EggNet: a graph that evolves with the embedding it is built in (arXiv:2407.13925, arXiv:2506.03415).

Encode the points; then, ``num_iterations`` times: decode an embedding, detach it, connect every point to its nearest
neighbours there, pass messages with attention. The last embedding is clustered by DBSCAN.

Shape letters: N points, M points still kept, F features, h width of points, D embedding, k neighbours, B events.
"""

from __future__ import annotations

import logging
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hitloom.event import Event
from hitloom.grouping import dbscan
from hitloom.losses import seeded_generator
from hitloom.losses.base import Loss
from hitloom.nn import MLP, AttentionBlock
from hitloom.nn.point_inputs import drop_features, fourier_terms, read_features, source_columns
from hitloom.ops import NeighbourTable, knn
from hitloom.result import Graph, Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, System, point_ids
from hitloom.systems.eggnet.config import EggNetConfig
from hitloom.systems.eggnet.objective import event_ids, training_loss
from hitloom.systems.eggnet.weights import weight_fields

log = logging.getLogger("hitloom")

_DRAW_DROPOUT = 4


class EggNet(System):
    """Evolving graphs of attention, then DBSCAN.

    Which parameters learn. The choice of a graph carries no gradient. With recycling every iteration restarts from
    the encoder, so only the last one reaches the loss: earlier ones run without autograd (the gradients are the
    same), and what serves only the choice of a graph - ``node_0`` and, with ``recurrent=False``, all but the last
    block, decoder and score head - learns only through ``loss.deep_supervision``; see
    :meth:`parameters_without_gradient`.

    Parameters
    ----------
    config : EggNetConfig
    """

    name: ClassVar[str] = "eggnet"
    Config: ClassVar[type[EggNetConfig]] = EggNetConfig  # type: ignore[assignment]
    config: EggNetConfig
    scale: Tensor
    fourier_columns: Tensor
    loss_step: Tensor

    def __init__(self, config: EggNetConfig) -> None:
        super().__init__()
        self.config = config
        self._said_missing = False
        self.register_buffer("scale", torch.tensor(config.node_scales, dtype=torch.float32), persistent=False)
        columns = [config.node_features.index(name) for name in config.fourier_features]
        self.register_buffer("fourier_columns", torch.tensor(columns, dtype=torch.int64), persistent=False)
        # Seeds the random pairs of the loss; part of the state, so a resumed run draws the same pairs.
        self.register_buffer("loss_step", torch.zeros((), dtype=torch.int64))
        h = config.node_rep_dim

        def network(in_dim: int, hidden: int, out_dim: int, depth: int, output: str) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=depth, output_activation=output,
                activation=config.hidden_activation, layernorm=config.layernorm, batchnorm=config.batchnorm,
            )  # fmt: skip

        hidden = config.hidden_activation
        self.encoder = network(config.num_inputs, config.encoder_hidden, h, config.num_encoder_layers, hidden)
        self.node_0 = network(h, config.node_0_hidden, h, config.num_node_0_layers, hidden)
        num_blocks = min(1, config.num_iterations) if config.recurrent else config.num_iterations
        num_decoders = 1 if config.recurrent else config.num_iterations + 1
        self.blocks = nn.ModuleList(
            AttentionBlock(
                node_dim=h, edge_dim=config.edge_rep_dim, edge_hidden=config.edge_hidden,
                node_hidden=config.node_hidden, num_edge_layers=config.num_edge_layers,
                num_node_layers=config.num_node_layers, num_layers=config.num_gnns_per_iteration,
                shared=config.recurrent_gnn, activation=hidden, layernorm=config.layernorm,
                batchnorm=config.batchnorm, residual=config.residual, saturated_logit=config.saturated_logit,
                checkpointing=config.checkpoint,
            )
            for _ in range(num_blocks)
        )  # fmt: skip
        self.decoders = nn.ModuleList(
            network(h, config.decoder_hidden, config.node_pspace_dim, config.num_decoder_layers,
                    config.output_activation)
            for _ in range(num_decoders)
        )  # fmt: skip
        self.score_heads = nn.ModuleList(
            network(h, config.node_score_hidden, 1, config.num_node_score_layers, "identity")
            for _ in range(num_decoders if config.output_node_score else 0)
        )

    @property
    def needs(self) -> Needs:
        config = self.config
        return Needs(
            fields=("pos", "x"),
            features=source_columns([name for name in config.node_features if name not in config.optional_features]),
            training_fields=("object_index", "object_id", "truth_edge_index", *weight_fields(config.loss.weighting)),
        )

    def forward(self, event: Event) -> Scores:
        """Run on an event or a batch of events; points see only points of their own event."""
        batch = event.batch if "batch" in event else None
        config = self.config
        features, missing = read_features(event, config.node_features, config.optional_features)
        if missing and not self._said_missing:
            log.warning(
                f"{event.describe()}: features {missing} are not in the data; the network goes on without them, as it "
                "learnt to, and finds less than with them"
            )
            self._said_missing = True
        if self.training and config.optional_features and config.optional_dropout:
            features = drop_features(
                features,
                [config.node_features.index(name) for name in config.optional_features],
                probability=config.optional_dropout,
                batch=batch,
                generator=seeded_generator(config.seed, int(self.loss_step), _DRAW_DROPOUT, *event_ids(event)),
            )
        return self.run(features, batch)

    def run(self, features: Tensor, batch: Tensor | None = None) -> Scores:
        """Run on unscaled features (N, F) and the event (N,) of each point."""
        config = self.config
        last = config.num_iterations
        watch = Stopwatch(features.device)
        scores = Scores()
        learns = torch.is_grad_enabled()
        hard, soft = config.node_hard_filter, config.node_soft_filter
        with watch("forward"):
            with watch("encode"):
                v = self._checkpointed(self.encoder, self.inputs(features))
                with torch.set_grad_enabled(learns and self._start_learns):
                    x = self._checkpointed(self.node_0, v)
            kept = _Kept(features.shape[0], features.device)
            logit: Tensor | None = None
            for i, k in enumerate(config.neighbours_per_iteration):
                with watch("decode"), torch.set_grad_enabled(learns and self._embedding_learns(i)):
                    z = self.decode(i, x)
                if self._embedding_learns(i):
                    scores.intermediate.append(kept.spread(z))
                chosen = None
                if len(hard) > 1 or soft:
                    with watch("decode"), torch.set_grad_enabled(learns and len(hard) > 1):
                        logit = self.score(i, x)
                    probability = logit.detach().sigmoid()
                    if len(hard) > 1:
                        keep = kept.drop(probability > hard[i], z, logit)
                        x, v, z, probability = x[keep], v[keep], z[keep], probability[keep]
                        batch = None if batch is None else batch[keep]
                    chosen = probability > soft[i] if soft else None
                with watch("knn"):
                    table = knn(z.detach(), k, batch=batch, mask=chosen, r_max=config.r_max, method=config.knn_method)
                if not self.training:
                    scores.graphs.append(Graph(name=f"knn_{i}", edge_index=kept.edges(table)))
                with watch("attention"), torch.set_grad_enabled(learns and self._block_learns(i)):
                    start = v if config.recycle_node_representation else x
                    x = self.blocks[0 if config.recurrent else i](start, table.index)
            with watch("decode"):
                z = self.decode(last, x)
                logit = self.score(last, x) if config.output_node_score else None
        scores.embedding, scores.point_score = kept.finish(z, logit)
        if hard and logit is not None:
            kept.drop(logit.detach().sigmoid() > hard[-1], z, logit)
            scores.kept = kept.mask
        scores.timing = watch.seconds
        return scores

    def inputs(self, features: Tensor) -> Tensor:
        """Return the encoder's input (N, num_inputs) of unscaled features (N, F)."""
        scaled = features.float() / self.scale
        if not self.config.fourier_features:
            return scaled
        terms = fourier_terms(scaled[:, self.fourier_columns], self.config.num_fourier_frequencies)
        return torch.cat([scaled, terms], 1)

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the named parts of ``config.loss``, in float32 whatever the autocast state."""
        step = int(self.loss_step) if self.training else -1
        with torch.autocast(event.x.device.type, enabled=False):
            value = training_loss(self.config, scores, event, step=step)
        if self.training:
            self.loss_step += 1
        return value

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Cluster the embedding of ONE event by DBSCAN; points that the filters dropped stay unassigned."""
        assert scores.embedding is not None
        embedding = scores.embedding.detach().float()
        watch = Stopwatch(torch.device("cpu"))
        with watch("dbscan"):
            kept = scores.kept
            chosen = embedding if kept is None else embedding[kept]
            grouping = self.config.grouping
            found = dbscan(chosen, eps=grouping.eps, min_samples=grouping.min_samples).cpu()
        labels = torch.full((embedding.shape[0],), -1, dtype=torch.int64)
        labels[slice(None) if kept is None else kept.cpu()] = found
        return Result(
            event_id=event_ids(event)[0],
            point_id=point_ids(event),
            labels=labels,
            embedding=embedding.cpu(),
            point_score=None if scores.point_score is None else scores.point_score.detach().float().cpu(),
            timing=scores.timing | watch.seconds,
        )

    def parameters_without_gradient(self) -> set[str]:
        """Return the names of parameters that this configuration never trains (see the class's description).

        With ``recurrent=False`` and hard filters a head between iterations learns only from the points that it drops,
        so an event from which it drops none leaves it without gradient too.
        """
        config, last = self.config, self.config.num_iterations
        idle: list[str] = [] if self._start_learns else ["node_0."]
        if not config.recurrent:
            idle += [f"blocks.{i}." for i in range(last) if not self._block_learns(i)]
            idle += [f"decoders.{i}." for i in range(last) if not self._embedding_learns(i)]
            idle += [f"score_heads.{i}." for i in range(last) if len(config.node_hard_filter) < 2]
        if config.loss.name == "contrastive":
            idle.append("score_heads.")
        return {name for name, _ in self.named_parameters() if name.startswith(tuple(idle))}

    def export_signature(self) -> ExportSignature:
        """Return features in, embedding (and score, kept) out, with the neighbour search inside."""
        from hitloom.systems.eggnet.exportable import export_signature

        return export_signature(self)

    @property
    def _start_learns(self) -> bool:
        """Whether a gradient reaches the output of ``node_0``."""
        config = self.config
        return (
            config.num_iterations == 0
            or not config.recycle_node_representation
            or len(config.node_hard_filter) > 1
            or self._embedding_learns(0)
        )

    def _embedding_learns(self, iteration: int) -> bool:
        """Whether the embedding before this iteration's graph enters the loss."""
        deep = self.config.loss.deep_supervision
        return deep == "all" or (deep == "first" and iteration == 0)

    def _block_learns(self, iteration: int) -> bool:
        """Whether a gradient reaches this iteration's attention block."""
        config = self.config
        return (
            iteration == config.num_iterations - 1
            or not config.recycle_node_representation
            or config.loss.deep_supervision == "all"
        )

    def _checkpointed(self, module: nn.Module, x: Tensor) -> Tensor:
        if self.config.checkpoint and torch.is_grad_enabled():
            return checkpoint(module, x, use_reentrant=False)
        return module(x)

    def decode(self, iteration: int, x: Tensor) -> Tensor:
        """Return the embedding (M, D) float32."""
        z = self._checkpointed(self.decoders[0 if self.config.recurrent else iteration], x).float()
        return F.normalize(z, dim=1) if self.config.embedding_norm else z

    def score(self, iteration: int, x: Tensor) -> Tensor:
        """Return the logit (M,) float32 that a point belongs to a true object."""
        return self._checkpointed(self.score_heads[0 if self.config.recurrent else iteration], x)[:, 0].float()


class _Kept:
    """Which of N points the hard filters have left, and the last embedding and score of those that went."""

    def __init__(self, num_points: int, device: torch.device) -> None:
        self.rows = torch.arange(num_points, device=device)
        self.num_points = num_points
        self.dropped: list[tuple[Tensor, Tensor, Tensor]] = []

    def drop(self, keep: Tensor, embedding: Tensor, logit: Tensor) -> Tensor:
        """Drop the rows where ``keep`` (M,) is false and return ``keep``."""
        gone = ~keep
        self.dropped.append((self.rows[gone], embedding[gone].detach(), logit[gone]))
        self.rows = self.rows[keep]
        return keep

    def spread(self, values: Tensor) -> Tensor:
        """Return ``values`` of the kept points as rows of all points, 0 for the others."""
        if self.rows.shape[0] == self.num_points:
            return values
        return values.new_zeros((self.num_points, *values.shape[1:])).index_copy(0, self.rows, values)

    def finish(self, embedding: Tensor, logit: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return embedding and score of all points, those dropped on the way with their last ones."""
        embedding = self.spread(embedding)
        logit = None if logit is None else self.spread(logit)
        for rows, old_embedding, old_logit in self.dropped:
            embedding = embedding.index_copy(0, rows, old_embedding)
            logit = None if logit is None else logit.index_copy(0, rows, old_logit)
        return embedding, logit

    def edges(self, table: NeighbourTable) -> Tensor:
        """Return the edges (2, E) of a table over kept points as rows of all points."""
        edge_index = table.edge_index()
        return edge_index if self.rows.shape[0] == self.num_points else self.rows[edge_index]

    @property
    def mask(self) -> Tensor:
        """(N,) bool, true for the points that are left."""
        mask = torch.zeros(self.num_points, dtype=torch.bool, device=self.rows.device)
        mask[self.rows] = True
        return mask
