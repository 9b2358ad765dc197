"""Everything that is counted of one linking, over events: official rates, missing and foreign energy, joined edges.

Shape letters: N tracksters, E edges, B events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.trackster_truth import pair_class
from hitloom.event import Event
from hitloom.metrics.edge_energy import CONFUSION_NAMES, EdgeEnergy, confusion, joined
from hitloom.metrics.energy_overlap import (
    EnergyOverlap,
    OverlapSums,
    energy_overlap,
    match_groups,
    object_overlap,
    trackster_kind,
    true_components,
)
from hitloom.metrics.trackster_counts import ObjectSelection
from hitloom.metrics.trackster_rates import TracksterRates
from hitloom.report.tracksters.config import TracksterEvaluationConfig

Labels = NDArray[np.int64]

GROUPS = {
    "components": "tracksters that candidate edges with a target above 0 connect; what the candidate graph lost is "
    "invisible here",
    "matches": "tracksters with the same match; an unmatched trackster is a group alone",
    "objects": "the objects themselves with their shares of the tracksters",
}
"""True groups that missing and foreign energy are counted for."""


def overlaps_of(event: Event, labels: Labels) -> dict[str, EnergyOverlap]:
    """Return kind of true group -> what the linking made of each group."""
    energy = event.energy.numpy()
    signal = event.object_is_signal.numpy() if "object_is_signal" in event else None
    kind = trackster_kind(event.object_index.numpy(), signal)
    edges, target = event.edge_index.numpy(), event.edge_y.numpy()
    groups = {
        "components": true_components(edges, target, len(energy)),
        "matches": match_groups(event.object_index.numpy()),
    }
    found = {
        name: energy_overlap(energy=energy, true_labels=true, labels=labels, kind=kind) for name, true in groups.items()
    }
    if "share_index" in event:
        found["objects"] = object_overlap(
            energy=energy,
            share_index=event.share_index.numpy(),
            share_fraction=event.share_fraction.numpy(),
            labels=labels,
            num_objects=event.num_objects,
            object_is_signal=signal,
        )
    return found


def edge_weight(event: Event) -> NDArray[np.float64]:
    """Return the larger raw energy (E,) of the two ends of each edge, GeV."""
    energy = event.energy.double().numpy()
    return np.asarray(energy[event.edge_index.numpy()].max(axis=0, initial=0.0))


class LinkingCounts:
    """Counts of one linking, summed over events.

    Parameters
    ----------
    config : TracksterEvaluationConfig
    """

    def __init__(self, config: TracksterEvaluationConfig) -> None:
        self._config = config
        self._rates: dict[str, TracksterRates] = {}
        self._overlaps: dict[str, dict[str, OverlapSums]] = {}
        self._edges = EdgeEnergy(num_resamples=config.num_resamples, seed=config.seed)
        self._confusion: dict[str, list[float]] = {name: [] for name in CONFUSION_NAMES}

    def add(self, truths: Mapping[str, Event], labels: Labels) -> None:
        """Count one event, given by each truth (:func:`~hitloom.report.tracksters.truths.truths_of`)."""
        for truth, event in truths.items():
            if "member_index" in event and "part_share_index" in event:
                self._rates.setdefault(truth, self._new_rates()).add(event, labels)
            sums = self._overlaps.setdefault(truth, {})
            for name, found in overlaps_of(event, labels).items():
                sums.setdefault(name, OverlapSums()).add(found)
        stored = next(iter(truths.values()))
        merged, target, weight = joined(stored.edge_index.numpy(), labels), stored.edge_y.numpy(), edge_weight(stored)
        self._edges.add(
            probability=merged.astype(np.float64),
            target=target,
            weight=weight,
            pair_class=pair_class(stored).numpy(),
        )
        for name, value in confusion(merged, target > 0, weight).items():
            self._confusion[name].append(value)

    def _new_rates(self) -> TracksterRates:
        config = self._config
        return TracksterRates(
            selection=ObjectSelection(min_pt=config.min_pt, max_pt=config.max_pt, max_abs_eta=config.max_abs_eta),
            variant=config.score_variant,
            num_resamples=config.num_resamples,
            seed=config.seed,
        )

    def result(self) -> dict[str, Any]:
        """Return ``rates``, ``species``, ``curves``, ``overlap`` and ``joined_edges``, ready for JSON.

        ``rates``, ``species`` and ``curves`` are empty where events hold no layer clusters.
        """
        return {
            "rates": {truth: rates.result() for truth, rates in self._rates.items()},
            "species": {truth: rates.by_species() for truth, rates in self._rates.items()},
            "curves": {truth: rates.curves() for truth, rates in self._rates.items()},
            "overlap": {
                truth: {name: sums.result() for name, sums in kinds.items()} for truth, kinds in self._overlaps.items()
            },
            "joined_edges": self._edges.result(0.5),
        }

    def per_event(self) -> dict[str, Any]:
        """Return the same counts with one entry an event (B,): what differences are resampled from."""
        return {
            "counts": {
                truth: {
                    kind: {name: values.tolist() for name, values in rates.counts(kind).items()}
                    for kind in ("all", "signal", "pileup")
                }
                for truth, rates in self._rates.items()
            },
            "overlap": {
                truth: {name: _columns(sums.per_event) for name, sums in kinds.items()}
                for truth, kinds in self._overlaps.items()
            },
            "edges": self._confusion,
        }


def _columns(rows: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Turn one mapping an event into one list a number."""
    first = rows[0] if rows else {}
    return {kind: {name: [row[kind][name] for row in rows] for name in names} for kind, names in first.items()}
