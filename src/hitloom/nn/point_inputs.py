"""Input features of points: columns of the event, those computed from them, scales and Fourier terms.

Shape letters: N points, F features, I inputs of a network.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import pydantic
import torch
from pydantic import Field
from torch import Tensor, nn

from hitloom.config import Config
from hitloom.errors import nearest
from hitloom.event import Event

FROM_PHI = {"cos_phi": torch.cos, "sin_phi": torch.sin}


def source_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the event that the named features are made of, each once."""
    return tuple(dict.fromkeys("phi" if name in FROM_PHI else name for name in names))


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
            values.append(FROM_PHI[name](columns["phi"]) if name in FROM_PHI else columns[name])
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


def fourier_terms(scaled: Tensor, num_frequencies: int) -> Tensor:
    """Return sin and cos of pi 2^j x for j below ``num_frequencies``.

    Shapes: (N, F) -> (N, 2 F num_frequencies), all sines before all cosines.
    """
    # one product for each frequency: a tensor of frequencies would fix the device of a traced graph
    angle = torch.stack([scaled * (math.pi * 2.0**octave) for octave in range(num_frequencies)], 2).flatten(1)
    return torch.cat([angle.sin(), angle.cos()], 1)


class PointInputs(Config):
    """Which features of a point a network reads.

    A feature is divided by its scale. ``fourier`` names features whose Fourier terms are added. ``optional`` features
    may be absent from the data; a network sees zeros then, and learns to by seeing them hidden in a share
    ``optional_dropout`` of the training events.
    """

    features: tuple[str, ...] = Field(min_length=1)
    scales: tuple[float, ...]
    optional: tuple[str, ...] = ()
    optional_dropout: float = Field(default=0.3, ge=0, le=1)
    fourier: tuple[str, ...] = ()
    num_frequencies: int = Field(default=8, ge=1, le=16)

    @pydantic.field_validator("features")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a feature is named twice; mend: name each once")
        return value

    @pydantic.field_validator("scales")
    @classmethod
    def _one_scale_each(cls, value: tuple[float, ...], info: pydantic.ValidationInfo) -> tuple[float, ...]:
        features = info.data.get("features", ())
        if features and len(value) != len(features):
            raise ValueError(f"{len(value)} numbers for {len(features)} features; mend: one for each")
        if 0 in value:
            raise ValueError("0 cannot divide a feature; mend: 1 leaves a feature as it is")
        return value

    @pydantic.field_validator("fourier", "optional")
    @classmethod
    def _known(cls, value: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        features = info.data.get("features", ())
        for name in value:
            if name not in features:
                raise ValueError(f"'{name}' is not one of features.{nearest(name, features)}")
        return value

    @property
    def width(self) -> int:
        """Number of inputs I of the network."""
        return len(self.features) + 2 * self.num_frequencies * len(self.fourier)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns that the data must have."""
        return source_columns([name for name in self.features if name not in self.optional])


class PointReader(nn.Module):
    """Reads and scales the features of points; holds no parameters.

    Parameters
    ----------
    config : PointInputs
    """

    scale: Tensor
    fourier_columns: Tensor

    def __init__(self, config: PointInputs) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("scale", torch.tensor(config.scales, dtype=torch.float32), persistent=False)
        columns = [config.features.index(name) for name in config.fourier]
        self.register_buffer("fourier_columns", torch.tensor(columns, dtype=torch.int64), persistent=False)

    def read(self, event: Event) -> Tensor:
        """Return the unscaled features (N, F); in training the optional ones are hidden in some events."""
        config = self.config
        features, _ = read_features(event, config.features, config.optional)
        if self.training and config.optional and config.optional_dropout:
            generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
            features = drop_features(
                features, [config.features.index(name) for name in config.optional],
                probability=config.optional_dropout, batch=event.batch if "batch" in event else None,
                generator=generator,
            )  # fmt: skip
        return features

    def forward(self, features: Tensor) -> Tensor:
        """Return the inputs (N, I) of a network from unscaled features (N, F)."""
        scaled = features.float() / self.scale
        if not self.config.fourier:
            return scaled
        return torch.cat([scaled, fourier_terms(scaled[:, self.fourier_columns], self.config.num_frequencies)], 1)
