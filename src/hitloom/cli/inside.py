"""What an evaluation may look at inside a network: its graphs, its attributions, the losses of its training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from hitloom.event import Event
    from hitloom.report.family import HistoryOf, Inside, SamplesOf
    from hitloom.training.checkpoint import Checkpoint
    from hitloom.training.reconstruct import Reconstructor

_SAMPLED_TOGETHER = 64  # events of a batch from which decisions are drawn


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
        samples=_sampler(reconstruct),
        histories=histories_of({"this model": reconstruct}),
    )


def histories_of(models: Mapping[str, Reconstructor]) -> dict[str, HistoryOf]:
    """Return, for each model that groups again what it has merged, its partitions after each iteration."""

    def history(system: Any) -> HistoryOf:
        import torch

        def of(event: Event) -> Sequence[Tensor]:
            with torch.inference_mode():
                found: Sequence[Tensor] = system.eval().iterate(event).history
            return found

        return of

    return {name: history(model.system) for name, model in models.items() if hasattr(model.system, "iterate")}


def _sampler(reconstruct: Reconstructor) -> SamplesOf | None:
    """Return what draws decisions for all points of some events; None where the system knows of no such thing."""
    if not hasattr(reconstruct.system, "sample"):
        return None

    def samples(events: Sequence[Event], num_samples: int) -> NDArray[np.bool_]:
        from copy import deepcopy

        import numpy as np
        import torch

        from hitloom.data.collation import collate_events

        system: Any = deepcopy(reconstruct.system).cpu().eval()  # where the same seed gives the same draws
        generator = torch.Generator().manual_seed(0)
        parts = []
        for first in range(0, len(events), _SAMPLED_TOGETHER):
            batch = collate_events(list(events[first : first + _SAMPLED_TOGETHER]))
            parts.append(system.sample(batch, num_samples, generator).numpy())
        return np.concatenate(parts, axis=1)

    return samples


def history_of(checkpoint: Path) -> list[dict[str, Any]]:
    """Return the epochs of the run that a checkpoint lies in, none where it lies in no run folder."""
    from hitloom.training.history import read_history

    for folder in checkpoint.parents[:2]:
        if (folder / "metrics.csv").exists():
            return read_history(folder / "metrics.csv")
    return []
