"""What a system says of an event: :class:`Scores` from the network, :class:`Result` after grouping.

Shape letters: N points, E edges, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

PAIR_MATRICES: tuple[str, ...] = ("similarity", "logit")


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph that a stage built, kept so that losses can be traced to the stage.

    Attributes
    ----------
    name : str
    edge_index : (2, E) int64
        Rows of points.
    edge_score : (E,) float32 or None
        Probability that the stage after this one gave each edge.
    bounding : bool
        Whether later stages cannot recover what is lost here.
    embedding : (N, D) float32 or None
        The learned space that the graph was built in.
    """

    name: str
    edge_index: Tensor
    edge_score: Tensor | None = None
    bounding: bool = False
    embedding: Tensor | None = None


@dataclass(kw_only=True)
class Scores:
    """Outputs of a network for one event or one batch.

    Attributes
    ----------
    embedding : (N, D) float32 or None
        Position of each point in the learned space.
    point_score : (N,) float32 or None
        Logit that the point belongs to a true object (is not noise); for tracksters, to one of the hard process.
    edge_index, edge_score : (2, E) int64 and (E,) float32, or None
        Edges and the logit that each joins two points of one object.
    edge_embedding : (E, D) float32 or None
        Position of each edge in a learned space.
    kept : (N,) bool or None
        Points that survived the network's own filters; None = all.
    graphs : list of Graph
        Graphs built on the way, in order.
    timing : dict
        Seconds by stage.
    intermediate : list of (N, D) or (E,) tensors
        Embeddings or edge scores of earlier iterations, for deep supervision.
    stages : dict of Scores
        Outputs of the stages of a chain by name.
    own : dict of tensors
        What only the loss and the grouping of the system itself read, by names of its own. Those in
        :data:`PAIR_MATRICES` hold the matrix (N, N) of each event, row-major, one after the other.
    """

    embedding: Tensor | None = None
    point_score: Tensor | None = None
    edge_index: Tensor | None = None
    edge_score: Tensor | None = None
    edge_embedding: Tensor | None = None
    kept: Tensor | None = None
    graphs: list[Graph] = field(default_factory=list)
    timing: dict[str, float] = field(default_factory=dict)
    intermediate: list[Tensor] = field(default_factory=list)
    stages: dict[str, Scores] = field(default_factory=dict)
    own: dict[str, Tensor] = field(default_factory=dict)

    def scored_edges(self) -> tuple[Tensor, Tensor]:
        """Return the edges (2, E) and their logits (E,); for code that knows that the network gives them."""
        if self.edge_index is None or self.edge_score is None:
            raise ValueError("the scores hold no edges")
        return self.edge_index, self.edge_score


@dataclass(frozen=True, kw_only=True)
class Result:
    """The partition of one event's points, whatever the system.

    Attributes
    ----------
    event_id : int
    point_id : (N,) int64
        Identifiers of the points in the source; 0..N-1 when the source has none.
    labels : (N,) int64
        Candidate of each point, counted from 0; -1 = unassigned.
    embedding, point_score, edge_index, edge_score
        As in :class:`Scores`, detached and on the CPU.
    in_input : (N,) bool or None
        Points that the network saw (False: removed by a cut before it); None = all.
    timing : dict
        Wall seconds by stage.
    """

    event_id: int
    point_id: Tensor
    labels: Tensor
    embedding: Tensor | None = None
    point_score: Tensor | None = None
    edge_index: Tensor | None = None
    edge_score: Tensor | None = None
    in_input: Tensor | None = None
    timing: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels.dtype != torch.int64 or self.labels.shape != self.point_id.shape:
            raise ValueError(
                f"labels must be int64 of shape {tuple(self.point_id.shape)}, "
                f"not {self.labels.dtype} {tuple(self.labels.shape)}"
            )

    @property
    def num_candidates(self) -> int:
        """Number of different candidates."""
        return int(torch.unique(self.labels[self.labels >= 0]).numel())
