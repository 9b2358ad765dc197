"""What an evaluation may look at inside a network: its graphs, its attributions, the losses of its training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitloom.event import Event
    from hitloom.report.family import Inside
    from hitloom.training.checkpoint import Checkpoint


def inside_of(checkpoint: str | Path | Checkpoint, *, accelerator: str = "auto") -> Inside:
    """Return the inside of a trained system.

    Raises
    ------
    CheckpointError
        When it is missing or damaged.
    """
    from hitloom.report.family import Inside
    from hitloom.training.reconstruct import Reconstructor

    reconstruct = Reconstructor(checkpoint, accelerator=accelerator)
    of_system: Any = getattr(reconstruct.system, "attributions", None)

    def attributions(events: Iterable[Event]) -> Mapping[str, Mapping[str, float]]:
        found: Mapping[str, Mapping[str, float]] = of_system(
            event.clone().to(str(reconstruct.device)) for event in events
        )
        return found

    return Inside(
        graphs=reconstruct.graphs,
        attributions=None if of_system is None else attributions,
        history=history_of(reconstruct.checkpoint.path),
    )


def history_of(checkpoint: Path) -> list[dict[str, Any]]:
    """Return the epochs of the run that a checkpoint lies in, none where it lies in no run folder."""
    from hitloom.training.history import read_history

    for folder in checkpoint.parents[:2]:
        if (folder / "metrics.csv").exists():
            return read_history(folder / "metrics.csv")
    return []
