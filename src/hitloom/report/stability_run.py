"""The study: perturb events, reconstruct them again, compare; one or two systems on the very same perturbed events.

Shape letters: N points, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hitloom.data.perturb import Perturbation
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.stability import StabilityStudy, compare_models, model_pair
from hitloom.result import Result

ETA_WINDOW = (1.7, 2.7)
"""|eta| of the point whose perturbations are shown, where there is one in it."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A system under study.

    Attributes
    ----------
    name : str
    reconstruct : callable
    threshold : float or None
        The one cut on the probability of an edge; None = it scores no edges.
    """

    name: str
    reconstruct: Callable[[Event], Result]
    threshold: float | None


@dataclass(kw_only=True)
class StabilityRun:
    """What a study found.

    Attributes
    ----------
    models : list of Model
    studies : list of StabilityStudy
        One a model.
    settings : dict
        Perturbation, numbers of samples, seed.
    pairs : list of dict
        How two models differ on each event as it is.
    shown : (Event, int) or None
        An event and the row of the point whose perturbations are shown.
    """

    models: list[Model]
    studies: list[StabilityStudy]
    settings: dict[str, Any]
    pairs: list[dict[str, float]] = field(default_factory=list)
    shown: tuple[Event, int] | None = None

    def result(self) -> dict[str, Any]:
        """Return all numbers by model, and the comparison of two models."""
        found: dict[str, Any] = {
            "settings": self.settings,
            "models": {model.name: study.result() for model, study in zip(self.models, self.studies, strict=True)},
        }
        if len(self.studies) == 2:
            names = [model.name for model in self.models]
            found["comparison"] = {"first": names[0], "second": names[1]} | compare_models(
                self.studies[0], self.studies[1], self.pairs
            )
        return found


def run_stability(
    models: list[Model],
    events: Iterable[Event],
    perturbation: Perturbation,
    *,
    num_partition_samples: int = 30,
    num_edge_samples: int = 50,
    seed: int = 0,
    on_event: Callable[[int], None] = lambda number: None,
) -> StabilityRun:
    """Study one system, or two on the same perturbed events.

    Parameters
    ----------
    num_partition_samples, num_edge_samples : int
        Perturbed samples of each event: the first so many for partitions; all for edges, where a system scores them.
    seed : int
        Sample k of an event depends on this, its id and k alone.

    Raises
    ------
    DataError
        When there is no event, or one lacks what the perturbation or a system needs.
    """
    scored = any(model.threshold is not None for model in models)
    number = max(num_partition_samples, num_edge_samples if scored else 0)
    settings = {
        "perturbation": perturbation.settings(),
        "num_partition_samples": num_partition_samples,
        "num_edge_samples": number if scored else 0,
        "seed": seed,
    }
    studies = [
        StabilityStudy(threshold=model.threshold, num_partition_samples=num_partition_samples) for model in models
    ]
    run = StabilityRun(models=models, studies=studies, settings=settings)
    count = 0
    for count, event in enumerate(events, 1):
        bases = [model.reconstruct(event) for model in models]
        samples: list[list[Result]] = [[] for _ in models]
        for changed in perturbed(event, perturbation, number, seed=seed):
            for model, list_ in zip(models, samples, strict=True):
                list_.append(model.reconstruct(changed))
        for study, base, list_ in zip(studies, bases, samples, strict=True):
            study.add(event, base, list_)
        if len(models) == 2:
            thresholds = (models[0].threshold, models[1].threshold)
            run.pairs.append(model_pair(event, *bases, thresholds=thresholds))
        if run.shown is None and event.num_points:
            run.shown = event, point_to_show(event)
        on_event(count)
    if not count:
        raise DataError("stability: there is no event; mend: another split")
    return run


def perturbed(event: Event, perturbation: Perturbation, number: int, *, seed: int) -> Iterator[Event]:
    """Yield the perturbed samples of an event, each from its own generator."""
    identity = int(event.event_id) if "event_id" in event else 0
    for sample in range(number):
        state = np.random.SeedSequence([seed, identity, sample]).generate_state(1, np.uint64)[0]
        yield perturbation(event, torch.Generator().manual_seed(int(state >> np.uint64(1))))


def point_to_show(event: Event) -> int:
    """Return the row of the point with most energy in \\|eta\\| 1.7 to 2.7, else of any; the first without energies."""
    x, y, z = event.pos.double().T
    eta = torch.asinh(z / torch.hypot(x, y).clamp(min=1e-9)).abs()
    inside = (eta > ETA_WINDOW[0]) & (eta < ETA_WINDOW[1])
    weight = event.energy.double() if "energy" in event else torch.ones(event.num_points, dtype=torch.float64)
    return int((weight * inside if bool(inside.any()) else weight).argmax())


def shifts_of_point(event: Event, row: int, perturbation: Perturbation, number: int, *, seed: int) -> np.ndarray:
    """Return the shifts (S, 3) of one point over many samples, mm.

    The point stands alone in its event, so many samples are cheap.
    """
    keep = torch.zeros(event.num_points, dtype=torch.bool)
    keep[row] = True
    alone = event.select_points(keep)
    moved = torch.stack([item.pos[0] for item in perturbed(alone, perturbation, number, seed=seed)])
    return (moved - alone.pos[0]).double().numpy()
