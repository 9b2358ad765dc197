"""One pass over wire views and results of shower growing: everything that is counted, gathered into one mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hitloom._version import __version__
from hitloom.data.shower_layout import VIEWS
from hitloom.event import Event
from hitloom.metrics.hit_partition import PARTITION_DEFINITIONS, HitTable, partition_counts, partition_rates
from hitloom.metrics.pruning_rates import Resamples, resamples_of
from hitloom.metrics.shower_particles import MATCH_DEFINITIONS, MERGING_DEFINITIONS, is_shower_pdg
from hitloom.metrics.similarity_rates import SIMILARITY_DEFINITIONS
from hitloom.metrics.truth import BoolArray, FloatArray
from hitloom.report.baselines import chosen_events
from hitloom.report.family import Inside
from hitloom.report.showers.choose import chosen_slices
from hitloom.report.showers.columns import ShowerColumns, columns_of
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.showers.entries import mean_entry
from hitloom.report.showers.headline import MAIN_RATES
from hitloom.report.showers.iterations import iteration_block, iteration_curve
from hitloom.report.showers.particles import merging_block, particle_block, particle_rows, similarity_block
from hitloom.report.showers.view import ShowerView, views_of
from hitloom.report.sources import Opened
from hitloom.report.timing import timing_of

DEFINITION_VERSION = "showers-1"
HITS: dict[str, str] = {
    "all": "hits of all true particles",
    "shower": "only hits whose true particle is an electron, a positron or a photon",
    "track": "only hits of all other true particles",
}
NUM_BINS = 100
CLUSTER_BINS: tuple[tuple[int, int | None], ...] = ((1, 15), (16, 31), (32, 63), (64, 127), (128, 255), (256, None))
ENERGY_BINS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Lower ends of bins, GeV; the last one has no upper end."""


@dataclass(kw_only=True)
class Shown:
    """What goes into files other than the metrics: slices for the pictures, view by view, and a row a particle."""

    views: list[ShowerView] = field(default_factory=list)
    particles: list[dict[str, Any]] = field(default_factory=list)


def collect(
    opened: Opened,
    events: Iterable[Event],
    config: ShowerEvaluationConfig,
    *,
    main: bool = True,
    inside: Inside | None = None,
    on_event: Callable[[int], None] = lambda number: None,
) -> tuple[dict[str, Any], Shown]:
    """Count all views of one method; return the metrics, ready for JSON, and what is shown beside them.

    Raises
    ------
    DataError
        When there is no result, a view is missing or has no truth, or does not belong to its result.
    """
    columns = columns_of(events, opened.items, config, on_event=on_event)
    resamples = resamples_of(columns.slice, num_resamples=config.num_resamples, seed=config.seed, what="slices")
    table = columns.table(config)
    rates = {name: _rates(part, config) for name, part in _parts(columns, table).items()}
    views = view_masks(columns)
    metrics: dict[str, Any] = {
        "definition_version": DEFINITION_VERSION,
        "hitloom_version": __version__,
        "data_fingerprint": columns.fingerprint,
        "num_events": columns.num_views,
        "num_slices": len(np.unique(columns.slice)),
        "choices": _choices(config, resamples, events),
        "partitions": {
            hits: {view: _entries(values, mask, resamples) for view, mask in views.items()}
            for hits, values in rates.items()
        },
        "merging": merging_block(table, views, resamples),
        "particles": particle_block(columns, table, ENERGY_BINS, resamples),
        "by_clusters": _by_clusters(columns, rates["all"], resamples),
        "by_energy": _by_energy(columns, rates["all"], resamples),
        "histograms": _histograms(rates["all"]),
        "similarity": similarity_block(columns, views, resamples),
        "groups_per_view": mean_entry(
            columns.num_groups, np.arange(columns.num_views), resamples, "groups of a view, mean over views"
        ),
        "per_event": _per_event(columns, rates),
    }
    metrics["timing"] = timing_of(metrics, opened.hardware)
    metrics["diagnostics"] = _diagnostics(metrics, columns, rates["all"]) if main else []
    shown = Shown()
    if main:
        metrics["sample"] = _sample(columns)
        inside = inside or Inside()
        metrics["history"] = [dict(row) for row in inside.history]
        metrics["iterations"] = _iterations(columns, events, config, inside)
        wanted = max(config.num_pictures, config.num_matrices)
        chosen = chosen_slices(columns, rates["all"]["ari"], wanted if config.plots or config.display else 0)
        shown.particles = particle_rows(columns, table)
        shown.views = views_of(events, opened.items, config, chosen)
    return metrics, shown


def _iterations(
    columns: ShowerColumns, events: Iterable[Event], config: ShowerEvaluationConfig, inside: Inside
) -> dict[str, Any] | None:
    """Return quality against iterations on the first slices; None without a model to iterate."""
    if not inside.histories or not config.num_iterations:
        return None
    chosen = np.unique(columns.slice)[: config.num_iterated_slices]
    ids = frozenset(columns.event_id[np.isin(columns.slice, chosen)].tolist())
    views = list(chosen_events(events, ids))
    return iteration_block(
        {
            name: iteration_curve(history, views, num_iterations=config.num_iterations, config=config)
            for name, history in inside.histories.items()
        }
    )


def view_masks(columns: ShowerColumns) -> dict[str, BoolArray]:
    """Return the views (B,) of each plane: ``all``, then those that occur."""
    masks = {letter: columns.view == code for code, letter in VIEWS.items()}
    return {"all": np.ones(columns.num_views, dtype=np.bool_)} | {
        name: mask for name, mask in masks.items() if mask.any()
    }


def _parts(columns: ShowerColumns, table: HitTable) -> dict[str, HitTable]:
    """Return the table of all hits, and those of hits of showers and of tracks."""
    rows = columns.object_rows(table)
    known = rows >= 0
    pdg = columns.objects["pdg"][np.maximum(rows, 0)] if len(columns.objects["pdg"]) else np.zeros(len(rows))
    shower = known & is_shower_pdg(pdg)
    return {"all": table, "shower": table.only_particles(shower), "track": table.only_particles(known & ~shower)}


def _rates(table: HitTable, config: ShowerEvaluationConfig) -> dict[str, FloatArray]:
    return partition_rates(partition_counts(table), min_event_hits=config.min_event_hits)


def _entries(
    rates: Mapping[str, FloatArray], mask: BoolArray, resamples: Resamples | None
) -> dict[str, dict[str, Any]]:
    rows = np.flatnonzero(mask)
    return {
        name: mean_entry(values[rows], rows, resamples, PARTITION_DEFINITIONS[name]) for name, values in rates.items()
    }


def _by_clusters(
    columns: ShowerColumns, rates: Mapping[str, FloatArray], resamples: Resamples | None
) -> list[dict[str, Any]]:
    bins = []
    for low, high in CLUSTER_BINS:
        mask = (columns.num_clusters >= low) & (columns.num_clusters <= (np.inf if high is None else high))
        bins.append(_bin(f"{low}+" if high is None else f"{low}-{high}", low, high, mask, rates, resamples))
    return bins


def _by_energy(
    columns: ShowerColumns, rates: Mapping[str, FloatArray], resamples: Resamples | None
) -> list[dict[str, Any]]:
    energy = columns.leading_shower()
    bins = [_bin("none", None, None, np.isnan(energy), rates, resamples)]
    for low, high in zip(ENERGY_BINS, (*ENERGY_BINS[1:], np.inf), strict=True):
        mask = (energy >= low) & (energy < high)
        text = f"{low:g}+" if np.isinf(high) else f"{low:g}-{high:g}"
        bins.append(_bin(f"{text} GeV", low, None if np.isinf(high) else high, mask, rates, resamples))
    return bins


def _bin(
    text: str,
    low: float | None,
    high: float | None,
    mask: BoolArray,
    rates: Mapping[str, FloatArray],
    resamples: Resamples | None,
) -> dict[str, Any]:
    entries = _entries({name: rates[name] for name in MAIN_RATES}, mask, resamples)
    keys = ("value", "numerator", "denominator", "interval")
    return {
        "label": text,
        "low": low,
        "high": high,
        "num_events": int(mask.sum()),
        "rates": {name: {key: entry[key] for key in keys} for name, entry in entries.items()},
    }


def _histograms(rates: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Return views in 100 bins from 0 to 1; an index below 0 counts in the first bin."""
    edges = np.linspace(0, 1, NUM_BINS + 1)
    found: dict[str, Any] = {"edges": edges.tolist()}
    for name in MAIN_RATES:
        known = rates[name][np.isfinite(rates[name])]
        found[name] = np.histogram(np.clip(known, 0, 1), bins=edges)[0].tolist()
    return found


def _per_event(columns: ShowerColumns, rates: Mapping[str, Mapping[str, FloatArray]]) -> dict[str, Any]:
    return {
        "event_id": [str(number) for number in columns.event_id.tolist()],
        "unit": columns.slice.tolist(),
        "view": columns.view.tolist(),
        "num_points": columns.num_clusters.tolist(),
        "num_hits": columns.num_hits.tolist(),
        "num_groups": columns.num_groups.tolist(),
        "timing": columns.timing,
        "rates": {
            hits: {name: [None if np.isnan(value) else round(float(value), 9) for value in column]
                   for name, column in values.items()}
            for hits, values in rates.items()
        },
    }  # fmt: skip


def _sample(columns: ShowerColumns) -> dict[str, Any]:
    entries, pdg = columns.entries, columns.objects["pdg"]
    without = entries["particle"] < 0

    def spread(values: Any) -> dict[str, float]:
        return {"mean": float(values.mean()), "median": float(np.median(values)), "max": int(values.max())}

    return {
        "num_slices": len(np.unique(columns.slice)),
        "num_views": columns.num_views,
        "views": {VIEWS.get(code, str(code)): int((columns.view == code).sum()) for code in np.unique(columns.view)},
        "num_clusters": spread(columns.num_clusters),
        "num_hits": spread(columns.num_hits),
        "share_without_truth": float(entries["num_hits"][without].sum() / max(1, entries["num_hits"].sum())),
        "num_particles": len(pdg),
        "num_showers": int(is_shower_pdg(pdg).sum()),
    }


def _choices(config: ShowerEvaluationConfig, resamples: Resamples | None, events: Iterable[Event]) -> dict[str, Any]:
    first = next(iter(events), None)
    made = {} if first is None else first.provenance_dict()
    truth = {"drop": "hits without truth are left out", "keep": "hits without truth are one more particle of the view"}
    small = "" if config.min_particle_hits == 1 else (
        f"; hits of particles with fewer than {config.min_particle_hits} in the view are left out"
    )  # fmt: skip
    return {
        "hits": truth[config.without_truth] + small,
        "cuts": f"views with at least {config.min_event_hits} hits left",
        "threshold": f"adjacent: similarity > {config.cut:g}",
        "denominator": f"true similarity from shares of {config.denominator} hits",
        "unassigned": "clusters in no group: " + {"own": "each a group of its own", "drop": "their hits are left out"}[
            config.unassigned],
        "source": "" if first is None or "source" not in first else str(first.source),
        "detector": str(made.get("detector") or "not named"),
        "energy": "true energy" if first is not None and "object_energy" in first else "energy of its hits in the view",
        "interval": "none: one slice" if resamples is None else resamples.text,
        "groups_of_hits": HITS,
        "rates": PARTITION_DEFINITIONS,
        "merging": MERGING_DEFINITIONS,
        "matching": MATCH_DEFINITIONS,
        "similarity": SIMILARITY_DEFINITIONS,
    }  # fmt: skip


def _diagnostics(metrics: Mapping[str, Any], columns: ShowerColumns, rates: Mapping[str, FloatArray]) -> list[str]:
    """Return what a reader must know before the numbers."""
    texts = []
    few = int(np.isnan(rates["ari"]).sum())
    if few:
        texts.append(f"{few} of {columns.num_views} views have too few hits with truth and are in no mean")
    if metrics["similarity"] is None:
        texts.append("the results keep no scores of pairs: no rates of the similarity")
    if np.array_equal(columns.num_groups, columns.num_clusters):
        texts.append("nothing is merged: the same as 'none'")
    one = (columns.num_groups == 1) & (columns.num_clusters > 1)
    if one.any() and one.mean() > 0.5:
        texts.append(
            f"{int(one.sum())} of {columns.num_views} views are one single group: grouping has collapsed; mend: no "
            "iterations with a model that was trained without augmentation, or a higher threshold"
        )
    if metrics["partitions"]["all"]["all"]["ari"]["interval"] is None:
        texts.append("too few slices for intervals")
    return texts
