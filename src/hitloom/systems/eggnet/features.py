"""Input features of EggNet: columns of the event, and those computed from them.

Shape letters: N points, F features.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from hitloom.event import Event

_FROM_PHI = {"cos_phi": torch.cos, "sin_phi": torch.sin}


def source_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the event that the named features are made of, each once."""
    return tuple(dict.fromkeys("phi" if name in _FROM_PHI else name for name in names))


def read_features(event: Event, names: Sequence[str], optional: Collection[str] = ()) -> tuple[Tensor, list[str]]:
    """Return the features (N, F) float32, unscaled, and the names of the optional ones that the data lack.

    A missing optional feature is a column of zeros.

    Raises
    ------
    DataError
        When another column is not in the data; the message names the event and the nearest column.
    """
    missing: list[str] = []
    if optional:
        available = set(event.column_names())
        missing = [name for name in names if name in optional and source_columns([name])[0] not in available]
    sources = source_columns([name for name in names if name not in missing])
    columns = dict(zip(sources, event.columns(sources).unbind(1), strict=True))
    values = []
    for name in names:
        if name in missing:
            values.append(event.pos.new_zeros(event.num_points))
        else:
            values.append(_FROM_PHI[name](columns["phi"]) if name in _FROM_PHI else columns[name])
    return torch.stack(values, 1).float(), missing


def drop_features(
    features: Tensor, columns: Sequence[int], *, probability: float, batch: Tensor | None, generator: torch.Generator
) -> Tensor:
    """Return the features with the ``columns`` set to zero in each event with this probability."""
    num_events = 1 if batch is None else int(batch.max()) + 1 if batch.numel() else 1
    gone = (torch.rand(num_events, generator=generator) < probability).to(features.device)
    row = gone.expand(features.shape[0]) if batch is None else gone[batch]
    chosen = torch.zeros(features.shape[1], dtype=torch.bool, device=features.device)
    chosen[list(columns)] = True
    return features.masked_fill(row[:, None] & chosen, 0.0)
