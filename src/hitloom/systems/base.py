"""What every system is: a network, a loss and a way of grouping, with its needs declared.

Shape letters: N points, D embedding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from hitloom.config import Config
from hitloom.errors import DataError, nearest
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.result import Result, Scores


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Event fields and feature columns that a system reads, and those that its loss reads besides."""

    fields: tuple[str, ...]
    features: tuple[str, ...] = ()
    training_fields: tuple[str, ...] = ()

    def check(self, event: Event, *, training: bool = False) -> None:
        """Raise :class:`DataError` naming the first missing field or feature, before any data flows."""
        for name in (*self.fields, *(self.training_fields if training else ())):
            if name not in event:
                raise DataError(f"{event.describe()}: field '{name}' is needed and not in the data")
        if self.features:
            available = event.column_names()
            missing = [name for name in self.features if name not in available]
            if missing:
                hint = nearest(missing[0], available)
                raise DataError(f"{event.describe()}: features {missing} are needed and not in the data.{hint}")


class System(nn.Module, ABC):
    """Base of every system. Constructed from its ``Config`` alone: ``MySystem(config)``."""

    name: ClassVar[str]
    Config: ClassVar[type[Config]]
    validates_partition: ClassVar[bool] = True  # whether validation during training groups the points
    keeps_edges: ClassVar[bool] = False  # whether edges and their scores are part of what a stored result holds
    # Whether a batch gives what its events give alone: forward, counts, and the loss as the mean over events. Then
    # validation and inference go through batches.
    batches_inference: ClassVar[bool] = False
    num_threads: ClassVar[int | None] = None  # threads of the CPU that serve it best; None = all

    config: Any

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """Fields and features read by ``forward`` and ``loss``."""

    @abstractmethod
    def forward(self, event: Event) -> Scores:
        """Run the network on an event or a batch of events."""

    @abstractmethod
    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the named parts of the training loss for the scores of ``forward``."""

    @abstractmethod
    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Group the points of ONE event into candidates."""

    @abstractmethod
    def export_signature(self) -> ExportSignature:
        """Return the plain-tensor module that exporters trace, with example inputs."""

    @property
    def edge_threshold(self) -> float | None:
        """The probability above which this system joins the ends of an edge; None where it scores no edges."""
        return None

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


@dataclass(frozen=True, kw_only=True)
class ExportSignature:
    """A module of tensors in, tensors out, and what exporters and programs that run its file must know.

    Attributes
    ----------
    module : nn.Module
        Takes the inputs in the order of their names; returns a tensor, or a tuple of them. Its method ``reference``,
        where it has one, computes the same by the system's own way.
    input_names, output_names : tuple of str
    example : callable
        ``example(*size)`` returns inputs of any size, for tracing and for parity.
    dynamic_axes : dict
        Tensor name -> {axis: name of a free size}. The first axis of an output is one of its free axes.
    traced_size : tuple of int
        Size of the traced example; no multiple of anything, so that no size is special.
    parity_sizes : tuple of tuples of int
        Sizes at which a file is compared with the system.
    min_agreement : float
        Share of the rows of the outputs that must agree.
    settings : dict
        Simple values that a program needs beside the tensors: names and scales of features, cuts.
    contract : dict
        What a program must agree on to use the file, where the system has a contract: written into the file and
        beside it. It has a ``format`` and a ``version``.
    traced : callable or None
        Returns what TorchScript traces in place of ``module``, where a loop over its layers must be compiled first.
    """

    module: nn.Module
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    example: Callable[..., tuple[torch.Tensor, ...]]
    dynamic_axes: dict[str, dict[int, str]]
    traced_size: tuple[int, ...] = (67,)
    parity_sizes: tuple[tuple[int, ...], ...] = ((7,), (200,), (1001,))
    min_agreement: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)
    contract: dict[str, Any] = field(default_factory=dict)
    traced: Callable[[], nn.Module] | None = None


def point_ids(event: Event) -> torch.Tensor:
    """Return (N,) int64 identifiers of the points in the source, 0..N-1 when the source has none."""
    return event.point_id.cpu() if "point_id" in event else torch.arange(event.num_points)
