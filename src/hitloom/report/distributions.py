"""Histograms of how pure tracks are and how completely particles are found, pooled over events.

Shape letters: K particles, C tracks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hitloom.metrics.matching import Contingency
from hitloom.metrics.selection import Selection
from hitloom.metrics.truth import EventTruth

EDGES = tuple(round(0.05 * step, 2) for step in range(21))
DEFINITIONS = {
    "track_purity": "largest share of a valid track's hits that one particle owns, n_cp / n_c; the last bin holds 1",
    "track_efficiency": (
        "largest share of a target particle's hits that one valid track holds, n_cp / n_p (0 where no valid track has "
        "a hit of it); the last bin holds 1"
    ),
}


class Distributions:
    """Accumulates the two histograms; targets are those of ``selection``."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._counts = {name: np.zeros(len(EDGES) - 1, dtype=np.int64) for name in DEFINITIONS}

    def add(self, table: Contingency, truth: EventTruth) -> None:
        """Count one event; ``table`` in the universe of the selection."""
        valid = table.track_size >= self.selection.min_track_hits
        self._fill("track_purity", table.best_shared[valid], table.track_size[valid])
        target = self.selection.target(truth, table.particle_size, table.is_particle)
        largest = np.zeros(table.particle_size.size, dtype=np.int64)
        inside = valid[table.pair_track]
        np.maximum.at(largest, table.pair_particle[inside], table.pair_shared[inside])
        self._fill("track_efficiency", largest[target], table.particle_size[target])

    def _fill(self, name: str, part: np.ndarray, whole: np.ndarray) -> None:
        num_bins = len(EDGES) - 1
        # Integer arithmetic decides the bin, so that 1/2 falls on its edge on every machine.
        entry = np.minimum(part * num_bins // np.maximum(whole, 1), num_bins - 1)
        self._counts[name] += np.bincount(entry, minlength=num_bins)

    def result(self) -> dict[str, Any]:
        """Return edges, counts and definitions, ready for JSON."""
        return {
            "edges": list(EDGES),
            "selection": self.selection.text(),
            **{
                name: {"counts": counts.tolist(), "total": int(counts.sum()), "definition": DEFINITIONS[name]}
                for name, counts in self._counts.items()
            },
        }
