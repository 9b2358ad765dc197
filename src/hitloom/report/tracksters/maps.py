"""Maps of missing and foreign energy over eta and phi, both endcaps.

Shape letters: T true groups, G cells along an axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hitloom.event import Event
from hitloom.metrics.energy_overlap import (
    PILEUP,
    SIGNAL,
    component_means,
    energy_overlap,
    match_groups,
    trackster_kind,
)
from hitloom.report.tracksters.counts import Labels

ETA_RANGE = (1.5, 3.2)
MAP_CLASSES = {"signal": SIGNAL, "pileup": PILEUP}
VALUES = ("missing", "foreign", "energy", "num_groups")


class OverlapMaps:
    """Sums of missing and foreign energy of true groups by place; the place is the energy-weighted mean of the group.

    ``forward`` holds eta > 0, ``backward`` eta < 0, both against |eta|, so that the two can be laid over each other.

    Parameters
    ----------
    size : int
        Cells along each axis.
    """

    def __init__(self, size: int) -> None:
        self.eta_edges = np.linspace(*ETA_RANGE, size + 1)
        self.phi_edges = np.linspace(-np.pi, np.pi, size + 1)
        shape = (size, size)
        self._sums = {
            side: {kind: {name: np.zeros(shape) for name in VALUES} for kind in MAP_CLASSES}
            for side in ("forward", "backward")
        }
        self._outside = 0

    def add(self, event: Event, labels: Labels) -> None:
        """Add the groups of tracksters with one match of an event."""
        energy, index = event.energy.double().numpy(), event.object_index.numpy()
        signal = event.object_is_signal.numpy() if "object_is_signal" in event else None
        true = match_groups(index)
        found = energy_overlap(energy=energy, true_labels=true, labels=labels, kind=trackster_kind(index, signal))
        place = event.columns(["barycenter_eta", "barycenter_phi"]).double().numpy()
        eta, phi = component_means(true, energy, place, angles=(1,)).T
        inside = (np.abs(eta) >= ETA_RANGE[0]) & (np.abs(eta) <= ETA_RANGE[1])
        self._outside += int((~inside).sum())
        values = {"missing": found.missing, "foreign": found.foreign, "energy": found.energy}
        values["num_groups"] = np.ones(len(eta))
        for side, sign in (("forward", 1), ("backward", -1)):
            for kind, number in MAP_CLASSES.items():
                rows = inside & (np.sign(eta) == sign) & (found.kind == number)
                for name, column in values.items():
                    self._sums[side][kind][name] += np.histogram2d(
                        np.abs(eta[rows]), phi[rows], bins=(self.eta_edges, self.phi_edges), weights=column[rows]
                    )[0]

    def result(self) -> dict[str, Any]:
        """Return edges and side -> class -> ``missing``, ``foreign``, ``energy`` (GeV), ``num_groups`` (G, G)."""
        return {
            "definition": (
                "sums over groups of tracksters with one match, at the energy-weighted mean place of the group; rows: "
                "|eta|, columns: phi"
            ),
            "eta_edges": self.eta_edges.tolist(),
            "phi_edges": self.phi_edges.tolist(),
            "num_outside": self._outside,
            "sides": {
                side: {kind: {name: table.tolist() for name, table in tables.items()} for kind, tables in kinds.items()}
                for side, kinds in self._sums.items()
            },
        }
