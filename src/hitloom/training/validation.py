"""Validation of one system on events: the loss, and track rates through :mod:`hitloom.metrics`.

Every system maps an event to a partition of its points, so one hook serves all. A system with a measure of its own has
two methods besides: ``validation_counts(scores, event)``, a plain dict of sums, and ``validation_rates(sums)``; with
``validates_partition = False`` these alone are taken.
Noise never matches. Counts are summed over events (and over devices) before they are divided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch_geometric.data import Batch

from hitloom.event import Event
from hitloom.metrics.counts import match_event, rate
from hitloom.metrics.selection import Condition, Selection
from hitloom.metrics.truth import truth_from_event
from hitloom.systems.base import System
from hitloom.training.batches import step_seed

DEFINITIONS = {
    "val_loss": "mean over validation events of the training loss",
    "val_efficiency": "particles with a track of purity > 0.5 / all particles with a hit in the input",
    "val_double_majority_efficiency": "the same, matched by double majority",
    "val_signal_efficiency": "target particles with a track of purity > 0.5 / target particles (evaluation.targets)",
    "val_signal_double_majority_efficiency": "the same, matched by double majority",
    "val_fake_per_matched_particle": "tracks matched to no particle / unique matched particles (purity > 0.5)",
    "val_duplicate_per_particle": "(tracks of target particles - found target particles) / found target particles",
}

_ALL = Selection(min_particle_hits=1, min_track_hits=1, universe="input")
_MATCHES = ("purity50", "double_majority")


def target_selection(targets: Mapping[str, Any]) -> Selection:
    """Return the selection of ``evaluation.targets``: ranges on particle quantities such as ``pt: [1, .inf]``."""
    conditions, min_hits = [], 1
    for name, bounds in targets.items():
        low, high = (float(bound) for bound in bounds)
        if name == "num_points" and math.isinf(high):
            min_hits = math.ceil(low)
        else:
            conditions.append(Condition(quantity=name, low=low, high=high))
    return Selection(min_particle_hits=min_hits, min_track_hits=1, universe="input", conditions=tuple(conditions))


def partition_counts(system: System, scores: Any, event: Event, signal: Selection) -> dict[str, float]:
    """Return the counts behind the validation rates for one event."""
    labels = system.reconstruct(scores, event).labels
    truth = truth_from_event(event)
    counts: dict[str, float] = {}
    for prefix, selection in (("all", _ALL), ("signal", signal)):
        for match, values in match_event(labels, truth, selection, matches=_MATCHES).items():
            counts |= {f"{prefix}/{match}/{name}": float(value) for name, value in values.items()}
    return counts


def partition_rates(sums: Mapping[str, float]) -> dict[str, float]:
    """Divide summed counts into the rates of :data:`DEFINITIONS`."""

    def part(selection: str, match: str) -> dict[str, float]:
        prefix = f"{selection}/{match}/"
        return {name.removeprefix(prefix): value for name, value in sums.items() if name.startswith(prefix)}

    everything, signal = part("all", "purity50"), part("signal", "purity50")
    return {
        "val_efficiency": rate("efficiency", everything),
        "val_double_majority_efficiency": rate("efficiency", part("all", "double_majority")),
        "val_signal_efficiency": rate("efficiency", signal),
        "val_signal_double_majority_efficiency": rate("efficiency", part("signal", "double_majority")),
        "val_fake_per_matched_particle": rate("fake_per_matched_particle", signal),
        "val_duplicate_per_particle": rate("duplicate_per_particle", signal),
    }


def validate(
    system: System,
    events: Iterable[tuple[int, Event]],
    *,
    device: torch.device,
    seed: int,
    targets: Mapping[str, Any],
    epoch: int = 0,
    between: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Return sums over events: ``loss``, ``num_events``, loss parts as ``part/<name>`` and the counts of the hook.

    Parameters
    ----------
    events : iterable of (index, Event)
        Events, or batches of them where the system takes batches (``batches_inference``). The index seeds the random
        pairs of the loss, so that epochs are comparable.
    epoch : int
        Number of the epoch: a system that trains on further tiers of its batches (:mod:`hitloom.training.module`) is
        validated on those of the epoch too, each with a loss of its own.
    between : callable
        Called between events, for instance to react to a signal.
    """
    own_counts = getattr(system, "validation_counts", None)
    signal = target_selection(targets)
    sums: dict[str, float] = {"loss": 0.0, "num_events": 0.0}
    was_training = system.training
    system.eval()
    try:
        with torch.no_grad():
            for index, event in events:
                torch.manual_seed(step_seed(seed, index, 3))
                event = event.to(device)
                scores = system(event)
                loss = system.loss(scores, event)
                counts = dict(own_counts(scores, event)) if own_counts else {}
                if system.validates_partition:
                    counts |= partition_counts(system, scores, event, signal)
                num_events = event.num_graphs if isinstance(event, Batch) else 1
                counts |= {f"part/{name}": float(part) * num_events for name, part in loss.parts.items()}
                counts |= {"loss": float(loss.total) * num_events, "num_events": float(num_events)}
                counts |= _tier_losses(system, scores, event, epoch)
                for name, value in counts.items():
                    sums[name] = sums.get(name, 0.0) + value
                between()
    finally:
        system.train(was_training)
    return sums


def _tier_losses(system: Any, scores: Any, event: Event, epoch: int) -> dict[str, float]:
    """Return the sums of the loss and of the events of every further tier of a batch."""
    sums = {}
    for tier in range(1, (system.max_tier(epoch) if hasattr(system, "max_tier") else 0) + 1):
        merged = system.next_pass(scores, event, tier=tier)
        if merged is None:
            break
        event, scores = merged, system(merged)
        num_events = event.num_graphs if isinstance(event, Batch) else 1
        sums[f"tier_loss/{tier}"] = float(system.loss(scores, event).total) * num_events
        sums[f"tier_events/{tier}"] = float(num_events)
    return sums


def rates_of(system: System, sums: Mapping[str, float]) -> dict[str, float]:
    """Return every value to log, named ``val_...``; empty when no event was validated."""
    num_events = sums.get("num_events", 0.0)
    if not num_events:
        return {}
    values = {"val_loss": sums["loss"] / num_events}
    values |= {
        f"val_{name.removeprefix('part/')}": value / num_events
        for name, value in sums.items()
        if name.startswith("part/")
    }
    tiers = sorted(name for name in sums if name.startswith("tier_loss/"))
    values |= {
        f"val_loss_tier_{name.split('/')[1]}": sums[name] / sums[name.replace("loss", "events")] for name in tiers
    }
    own_rates = getattr(system, "validation_rates", None)
    if own_rates:
        values |= own_rates(sums)
    return values | (partition_rates(sums) if system.validates_partition else {})
