"""What edge networks read of an edge besides its points.

Shape letters: N points, E edges, G edge features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.ops.edge_features import EDGE_FEATURES, edge_features
from hitloom.systems.exatrkx.config import EdgeInputs

_LOGIT_SCALE = 4.0


def num_edge_inputs(config: EdgeInputs) -> int:
    """Return the number G of edge features."""
    return len(EDGE_FEATURES) * config.geometry + config.score


def geometry_of(pos: Tensor, edge_index: Tensor) -> Tensor:
    """Return the six geometric features (E, 6) of edges between positions (N, 3) in mm, inner point first."""
    x, y, z = pos.float().unbind(1)
    r = (x.square() + y.square()).sqrt()  # ONNX has no hypot
    eta = torch.asinh(z / r.clamp(min=1e-6))
    return edge_features(r, torch.atan2(y, x), z, eta, edge_index)


def edge_inputs(pos: Tensor, edge_index: Tensor, score: Tensor | None, config: EdgeInputs) -> Tensor | None:
    """Return the features (E, G) that the configuration asks for, None when it asks for none.

    Parameters
    ----------
    pos : (N, 3) mm
    edge_index : (2, E) int64
    score : (E,) probability from the stage before, or None
    config : EdgeInputs
    """
    parts = [geometry_of(pos, edge_index)] if config.geometry else []
    if config.score:
        if score is None:
            raise DataError("edge_score: the score of the stage before is needed; mend: apply the filter first")
        parts.append(torch.logit(score.float(), eps=1e-6)[:, None] / _LOGIT_SCALE)
    return torch.cat(parts, 1) if parts else None


def check_graph(event: Event) -> Tensor:
    """Return ``edge_index`` (2, E) of an event.

    Raises
    ------
    DataError
        When the event has no graph.
    """
    if "edge_index" not in event:
        raise DataError(
            f"{event.describe()}: field 'edge_index' is missing; mend: apply the stage before this one "
            "(hitloom stage apply), or run the whole chain"
        )
    return event.edge_index
