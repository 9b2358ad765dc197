"""Input features of EggNet: columns of the event, and those computed from them.

Shape letters: N points, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hitloom.event import Event

_FROM_PHI = {"cos_phi": torch.cos, "sin_phi": torch.sin}


def source_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the event that the named features are made of, each once."""
    return tuple(dict.fromkeys("phi" if name in _FROM_PHI else name for name in names))


def read_features(event: Event, names: Sequence[str]) -> Tensor:
    """Return the features (N, F) float32, unscaled.

    Raises
    ------
    DataError
        When a column is not in the data; the message names the event and the nearest column.
    """
    sources = source_columns(names)
    columns = dict(zip(sources, event.columns(sources).unbind(1), strict=True))
    values = [_FROM_PHI[name](columns["phi"]) if name in _FROM_PHI else columns[name] for name in names]
    return torch.stack(values, 1).float()
