"""Particles, merging and pairs of clusters as blocks of the metrics file.

Shape letters: B views, K particles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hitloom.metrics.counts import divide
from hitloom.metrics.hit_partition import HitTable
from hitloom.metrics.intervals import percentile_interval
from hitloom.metrics.pruning_rates import Resamples, by_unit
from hitloom.metrics.shower_particles import (
    KINDS,
    MATCH_DEFINITIONS,
    MIN_HITS,
    OTHER_KIND,
    ParticleMatch,
    is_shower_pdg,
    kind_of,
    match_particles,
    merging_counts,
)
from hitloom.metrics.similarity_rates import SIMILARITY_DEFINITIONS, similarity_rates
from hitloom.metrics.summary import number, pair
from hitloom.metrics.truth import BoolArray, IntArray
from hitloom.report.showers.columns import ShowerColumns
from hitloom.report.showers.entries import mean_entry, quotient_entry

SHARES = ("kept_whole", "split", "swallowed")


def merging_block(
    table: HitTable, views: Mapping[str, BoolArray], resamples: Resamples | None
) -> dict[str, dict[str, Any]]:
    """Return for each plane the counts of split, swallowed and mixed, and their shares with intervals."""
    counts = merging_counts(table, match_particles(table))
    result = {}
    for view, mask in views.items():
        rows = np.flatnonzero(mask)
        block: dict[str, Any] = {name: int(values[rows].sum()) for name, values in counts.items()}
        block["shares"] = {
            name: quotient_entry(counts[name][rows], counts[below][rows], rows, resamples, f"{name} / {below}")
            for name, below in (
                *((share, "particles") for share in SHARES), ("pieces", "particles"), ("mixed", "groups")
            )
        }  # fmt: skip
        result[view] = block
    return result


def particle_block(
    columns: ShowerColumns, table: HitTable, energy_bins: Sequence[float], resamples: Resamples | None
) -> dict[str, Any]:
    """Return how particles with hits enough are matched: by kind, and showers and tracks by energy."""
    match = match_particles(table)
    rows = columns.object_rows(table)
    counted = (match.num_hits >= MIN_HITS) & (rows >= 0)
    at = np.maximum(rows, 0)
    empty = not len(columns.objects["pdg"])
    pdg = np.zeros(len(rows), dtype=np.int64) if empty else columns.objects["pdg"][at]
    energy = np.full(len(rows), np.nan) if empty else columns.objects["energy"][at]
    primary = np.full(len(rows), -1) if empty else columns.objects["primary"][at]
    shower, kind = is_shower_pdg(pdg), kind_of(pdg)
    masks = {"showers": counted & shower, "tracks": counted & ~shower}
    masks |= {name: counted & (kind == place) for place, name in enumerate((*KINDS, OTHER_KIND))}
    masks |= {"primary": counted & (primary == 1), "secondary": counted & (primary == 0)}
    bins = []
    for low, high in zip(energy_bins, (*energy_bins[1:], np.inf), strict=True):
        inside = counted & (energy >= low) & (energy < high)
        text = f"{low:g}+" if np.isinf(high) else f"{low:g}-{high:g}"
        bins.append(
            {"label": f"{text} GeV", "low": low, "high": None if np.isinf(high) else high}
            | {name: _matched(match, inside & mask, resamples) for name, mask in (("shower", shower),
                                                                               ("track", ~shower))}
        )  # fmt: skip
    return {
        "min_hits": MIN_HITS,
        "by_kind": {name: _matched(match, mask, resamples) for name, mask in masks.items() if mask.any()},
        "by_energy": bins,
    }


def _matched(match: ParticleMatch, mask: BoolArray, resamples: Resamples | None) -> dict[str, Any]:
    event: IntArray = match.event[mask]
    values = {
        "completeness": divide(match.correct_hits, match.num_hits),
        "purity": divide(match.correct_hits, match.group_hits),
        "energy_completeness": divide(match.correct_energy, match.energy),
        "majority": match.majority,
        "kept_whole": match.num_pieces == 1,
        "split": match.num_pieces > 1,
        "swallowed": match.num_pieces == 0,
    }
    return {"num_particles": int(mask.sum())} | {
        name: mean_entry(column[mask], event, resamples, MATCH_DEFINITIONS.get(name, f"share of particles: {name}"))
        for name, column in values.items()
    }


def particle_rows(columns: ShowerColumns, table: HitTable) -> list[dict[str, Any]]:
    """Return one row a particle and view: what it is, and the group that holds most of it."""
    match, rows = match_particles(table), columns.object_rows(table)
    result = []
    for place in np.flatnonzero((match.num_hits > 0) & (rows >= 0)).tolist():
        row, event = int(rows[place]), int(match.event[place])
        thing = {name: columns.objects[name][row].item() for name in ("pdg", "energy", "primary")}
        result.append(
            {
                "event_id": str(columns.event_id[event]), "particle": int(match.label[place]), "pdg": thing["pdg"],
                "is_shower": bool(is_shower_pdg(thing["pdg"])), "primary": thing["primary"],
                "true_energy_gev": thing["energy"], "num_hits": int(match.num_hits[place]),
                "hit_energy_gev": float(match.energy[place]), "group": int(match.group[place]),
                "correct_hits": int(match.correct_hits[place]), "group_hits": int(match.group_hits[place]),
                "correct_energy_gev": float(match.correct_energy[place]),
                "group_energy_gev": float(match.group_energy[place]), "majority": bool(match.majority[place]),
                "num_pieces": int(match.num_pieces[place]),
            }
        )  # fmt: skip
    return result


def similarity_block(
    columns: ShowerColumns, views: Mapping[str, BoolArray], resamples: Resamples | None
) -> dict[str, Any] | None:
    """Return rates of pairs for each plane, over all tiers and for each; None where results keep no pairs."""
    if columns.pairs is None:
        return None
    tiers = {"all": np.ones(columns.num_views, dtype=np.bool_)}
    if columns.tier.any():
        tiers |= {str(tier): columns.tier == tier for tier in np.unique(columns.tier).tolist()}
    return {
        tier: {view: _pooled(columns, chosen & mask, resamples) for view, mask in views.items()}
        for tier, chosen in tiers.items()
    }


def _pooled(columns: ShowerColumns, mask: BoolArray, resamples: Resamples | None) -> dict[str, Any]:
    assert columns.pairs is not None
    counts = {name: np.where(mask, values, 0) for name, values in columns.pairs.items()}
    values = similarity_rates({name: column.sum() for name, column in counts.items()})
    samples = {}
    if resamples is not None:
        sums = resamples.weights @ by_unit(np.stack(list(counts.values()), axis=1), resamples)
        samples = similarity_rates(dict(zip(counts, sums.T, strict=True)))
    return {
        "n_events": int(mask.sum()),
        "num_pairs": int(counts["num_pairs"].sum()),
        "rates": {
            name: {
                "value": number(float(value)),
                "interval": pair(*percentile_interval(samples[name])) if samples else None,
                "interval_kind": resamples.text if resamples is not None else None,
                "definition": SIMILARITY_DEFINITIONS[name],
            }
            for name, value in values.items()
        },
    }
