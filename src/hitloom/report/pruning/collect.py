"""One pass over events and results of a pruning: everything that is counted, gathered into one mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from hitloom._version import __version__
from hitloom.data.pruning_tracksters import TRACKSTERS_PER_COLLISION
from hitloom.event import Event
from hitloom.metrics.curves import plain
from hitloom.metrics.pruning_counts import (
    COUNT_DEFINITIONS,
    GROUPS,
    Counts,
    group_masks,
    num_points,
    num_to_prune,
)
from hitloom.metrics.pruning_particles import PARTICLE_DEFINITIONS
from hitloom.metrics.pruning_probability import PROBABILITY_DEFINITIONS, probability_block, probability_of
from hitloom.metrics.pruning_rates import (
    RATE_DEFINITIONS,
    Resamples,
    by_share,
    by_size,
    rate_entries,
    rate_values,
    resamples_of,
)
from hitloom.metrics.pruning_samples import sample_block, sample_ranks
from hitloom.metrics.pruning_scan import threshold_counts
from hitloom.report.family import Inside
from hitloom.report.pruning.choose import chosen_tracksters
from hitloom.report.pruning.columns import PruningColumns, columns_of
from hitloom.report.pruning.config import PruningEvaluationConfig
from hitloom.report.pruning.view import PruningView, view_of
from hitloom.report.sources import Opened
from hitloom.report.timing import timing_of

DEFINITION_VERSION = "pruning-1"
FREE_RUNNING = (
    "free-running: every decision rests on what the method itself decided before; no label was read to make it"
)
BIN_RATES = (
    "f1", "precision", "recall", "accuracy", "exact_match", "energy_retained", "energy_pruned", "energy_sum",
    "purity_before", "purity_after", "label_purity_before", "label_purity_after",
)  # fmt: skip
"""Rates that are also given by size and by what there is to prune."""
SCAN_RATES = ("f1", "precision", "recall", "exact_match", "energy_retained", "energy_pruned", "energy_sum")


@dataclass(kw_only=True)
class Shown:
    """What goes into files other than the metrics: tracksters for the displays, each with why it was chosen."""

    views: list[PruningView] = field(default_factory=list)


def collect(
    opened: Opened,
    events: Iterable[Event],
    config: PruningEvaluationConfig,
    *,
    main: bool = True,
    inside: Inside | None = None,
    on_event: Callable[[int], None] = lambda number: None,
) -> tuple[dict[str, Any], Shown]:
    """Count all tracksters of one method; return the metrics, ready for JSON, and what is shown beside them.

    Parameters
    ----------
    main : bool
        Whether to add what stands in the report once: the sample, drawn configurations, tracksters for the displays.

    Raises
    ------
    DataError
        When there is no result, an event is missing or has no labels, or does not belong to its result.
    """
    columns = columns_of(events, opened.items, on_event=on_event)
    if config.threshold is not None and columns.logit is not None:
        columns = replace(columns, pruned=probability_of(columns.logit) > config.threshold)
    likely = columns.logit is not None and has_probabilities(opened)
    counts = columns.counts(with_likelihood=likely)
    resamples = _resamples(columns, events, config)
    masks = group_masks(counts)
    metrics: dict[str, Any] = {
        "definition_version": DEFINITION_VERSION,
        "hitloom_version": __version__,
        "data_fingerprint": columns.fingerprint,
        "num_events": columns.num_tracksters,
        "choices": _choices(config, resamples, opened, events),
        "rates": {name: rate_entries(counts, mask, resamples) for name, mask in masks.items()},
        "by_size": _slim(by_size(counts, resamples)),
        "by_share": _slim(by_share(counts, resamples)),
        "probability": _probability(columns, resamples, likely),
        "scan": _scan(columns, config) if likely else None,
    }
    metrics["per_event"] = _per_event(columns, counts, resamples)
    metrics["timing"] = timing_of(metrics, opened.hardware)
    metrics["diagnostics"] = _diagnostics(metrics, columns, counts) if main else []
    shown = Shown()
    if main:
        inside = inside or Inside()
        metrics["sample"] = sample_of(columns, counts)
        metrics["samples"] = _samples(columns, counts, events, config, inside)
        metrics["history"] = [dict(row) for row in inside.history]
        chosen = chosen_tracksters(counts, columns.event_id, config.num_displays)
        shown.views = [view_of(columns, row, why=why) for row, why in chosen]
    return metrics, shown


def _resamples(columns: PruningColumns, events: Iterable[Event], config: PruningEvaluationConfig) -> Resamples | None:
    collisions = config.resample == "collisions" or (config.resample == "auto" and _is_simulated(events))
    unit = columns.event_id // TRACKSTERS_PER_COLLISION if collisions else columns.event_id
    what = "collisions" if collisions else "tracksters"
    return resamples_of(unit, num_resamples=config.num_resamples, seed=config.seed, what=what)


def _first(events: Iterable[Event]) -> Event | None:
    return next(iter(events), None)


def _is_simulated(events: Iterable[Event]) -> bool:
    """Return whether the events say that a simulation made them: then event ids count collisions."""
    first = _first(events)
    return first is not None and "simulation" in first.provenance_dict()


def _slim(bins: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return bins with the rates of :data:`BIN_RATES` only, without texts, which are under ``choices``."""
    keys = ("value", "numerator", "denominator", "interval")

    def short(rates: dict[str, Any]) -> dict[str, Any]:
        return {name: {key: rates[name][key] for key in keys} for name in BIN_RATES if name in rates}

    return [item | {"rates": short(item["rates"])} for item in bins]


def has_probabilities(opened: Opened) -> bool:
    """Return whether scores are logits; those of a method without training only order its layer clusters."""
    return "baseline" not in opened.meta


def _probability(columns: PruningColumns, resamples: Resamples | None, likely: bool) -> dict[str, Any] | None:
    """Return areas, curves and, where scores are logits, reliability."""
    if columns.logit is None:
        return None
    found = probability_block(
        logit=columns.logit, to_prune=columns.truth, trackster=columns.trackster, resamples=resamples
    )
    if not likely:
        for name in ("reliability", "calibration_error"):
            del found[name]
    return found


def _scan(columns: PruningColumns, config: PruningEvaluationConfig) -> dict[str, Any]:
    """Return rates at every threshold, and the best thresholds on this sample by F1 and by energy."""
    assert columns.logit is not None
    cuts = np.round(np.arange(config.scan_step, 1 - 1e-9, config.scan_step), 10)
    values = rate_values(
        threshold_counts(
            probability=probability_of(columns.logit), cuts=cuts, trackster=columns.trackster,
            num_tracksters=columns.num_tracksters, to_prune=columns.truth, energy=columns.energy,
        )
    )  # fmt: skip
    best = {}
    for name in ("f1", "energy_sum"):
        if np.isfinite(values[name]).any():
            place = int(np.nanargmax(values[name]))
            best[name] = {"threshold": float(cuts[place]), "value": float(values[name][place])}
    return {"threshold": plain(cuts), **{name: plain(values[name]) for name in SCAN_RATES}, "best": best}


def _per_event(columns: PruningColumns, counts: Counts, resamples: Resamples | None) -> dict[str, Any]:
    """Return one entry a trackster; energies to whole keV, which keeps the file short."""
    unit = columns.event_id if resamples is None else resamples.unit
    return {
        "event_id": [str(number) for number in columns.event_id.tolist()],
        "unit": np.asarray(unit).tolist(),
        "num_points": num_points(counts).tolist(),
        "timing": columns.timing,
        "counts": {
            name: values.tolist() if values.dtype.kind == "i" else np.round(values, 6).tolist()
            for name, values in counts.items()
        },
    }


def sample_of(columns: PruningColumns, counts: Counts) -> dict[str, Any]:
    """Return what the labels are like, whatever a method does: sizes, shares to prune, energies, links."""
    size, positive = num_points(counts), num_to_prune(counts)
    share = positive / np.maximum(size, 1)
    edges = np.append(-0.05, np.linspace(0, 1, 21))
    upper = np.searchsorted(edges, share, side="left") - 1  # a bin holds its upper end; the first only 0
    return {
        "num_tracksters": columns.num_tracksters,
        "num_layer_clusters": int(size.sum()),
        "num_links": int(columns.links.shape[1]),
        "num_to_prune": int(positive.sum()),
        "share_to_prune": float(positive.sum() / max(1, size.sum())),
        "share_energy_to_prune": float(counts["energy_to_prune"].sum() / max(1e-12, counts["energy"].sum())),
        "share_without_positive": float((positive == 0).mean()),
        "num_points": {
            "mean": float(size.mean()), "median": float(np.median(size)), "max": int(size.max()),
            "histogram": np.bincount(size).tolist(),
        },
        "share_histogram": {"edges": plain(edges), "num_tracksters": np.bincount(upper, minlength=21).tolist()},
        "energy": {
            name: _energy_histogram(columns.energy[mask])
            for name, mask in (("should be kept", ~columns.truth), ("should be pruned", columns.truth))
        },
        "energy_edges": plain(_ENERGY_EDGES),
    }  # fmt: skip


_ENERGY_EDGES = np.geomspace(1e-3, 1e3, 31)


def _energy_histogram(energy: Any) -> list[int]:
    return np.histogram(np.clip(energy, _ENERGY_EDGES[0], _ENERGY_EDGES[-1]), bins=_ENERGY_EDGES)[0].tolist()


def _samples(
    columns: PruningColumns, counts: Counts, events: Iterable[Event], config: PruningEvaluationConfig, inside: Inside
) -> dict[str, Any] | None:
    """Return how often the true configuration is among those that the model draws most; None without a model."""
    if inside.samples is None or not config.num_samples:
        return None
    number = min(config.num_sample_tracksters, columns.num_tracksters)
    wanted = {int(event_id): row for row, event_id in enumerate(columns.event_id[:number].tolist())}
    picked = list(islice((event for event in events if int(event.event_id) in wanted), number))
    rows = [wanted[int(event.event_id)] for event in picked]
    drawn = inside.samples(picked, config.num_samples)
    if drawn is None:
        return None
    trackster = np.repeat(np.arange(number), [event.num_points for event in picked])
    truth = np.concatenate([event.point_y.numpy() > 0.5 for event in picked])
    ranks = sample_ranks(samples=drawn, to_prune=truth, trackster=trackster, num_tracksters=number)
    groups = {name: mask[rows] for name, mask in group_masks(counts).items()}
    return {
        "num_samples": config.num_samples, "num_tracksters": number,
        **sample_block(ranks, num_points=num_points(counts)[rows], groups=groups),
    }  # fmt: skip


def _choices(
    config: PruningEvaluationConfig, resamples: Resamples | None, opened: Opened, events: Iterable[Event]
) -> dict[str, Any]:
    first = _first(events)
    made = {} if first is None else first.provenance_dict()
    rule = made.get("config", {}) if isinstance(made.get("config"), Mapping) else {}
    majority = rule.get("majority") or made.get("majority")
    least = rule.get("min_size") or made.get("min_size")
    return {
        "decisions": FREE_RUNNING,
        "threshold": (
            "as the results were decided" if config.threshold is None else f"P(prune) > {config.threshold:g}"
        ),
        "positive": "a layer cluster to prune: it does not belong to the particle that its trackster stands for",
        "labels": "those stored with the events" + (f", by the majority of {_MAJORITY.get(majority, majority)}"
                                                      if majority else ""),
        "cuts": "all tracksters of the results" + (f", which have at least {least} layer clusters" if least else ""),
        "source": "" if first is None or "source" not in first else str(first.source),
        "is_toy": "toy" in str(made.get("note", "")),
        "interval": "none: too few tracksters" if resamples is None else resamples.text,
        "groups": GROUPS,
        "rates": RATE_DEFINITIONS,
        "counts": COUNT_DEFINITIONS | PARTICLE_DEFINITIONS,
        "probability": PROBABILITY_DEFINITIONS,
    }  # fmt: skip


_MAJORITY = {"count": "layer clusters", "energy": "energy"}


def _diagnostics(metrics: Mapping[str, Any], columns: PruningColumns, counts: Counts) -> list[str]:
    """Return what a reader must know before the numbers."""
    texts = []
    if columns.logit is None:
        texts.append("the results hold no scores: no ROC, no threshold curves, no likelihood")
    if not num_to_prune(counts).any():
        texts.append("no layer cluster is to prune: precision, recall, F1 and energy pruned mean nothing")
    if columns.shares is None:
        texts.append(
            "the events do not say which particle made what: purity by labels only, and no completeness against all "
            "energy of a particle"
        )
    if not columns.pruned.any():
        texts.append("nothing is pruned: the same as keep_all")
    if metrics["rates"]["all"]["f1"]["interval"] is None:
        texts.append("too few tracksters for intervals of F1 and energies")
    return texts
