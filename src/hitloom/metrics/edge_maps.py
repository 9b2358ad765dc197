"""Efficiency and purities of edges in bins: against the particle, and against the place of the inner hit.

The inner hit of an edge is the one nearer to the origin. Efficiency is known against the particle (pt, eta) and the
place; purity only against the place, because a false edge has no particle.

Shape letters: N hits, E edges, T truth edges, H bins of an axis, R and Z bins of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hitloom.metrics.curves import Axis, num_entries, plain
from hitloom.metrics.edge_curves import proportion_columns
from hitloom.metrics.edges import PURITIES, LabelledEdges, TruthEdges
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

HIT_AXES = ("r", "z", "hit_eta")


def place_axes(pos: FloatArray, *, num_r: int = 25, num_z: int = 40) -> tuple[Axis, Axis, Axis]:
    """Return axes of r, z and the hit's pseudorapidity that hold all hits ``pos`` (N, 3) in mm."""
    radius = np.hypot(pos[:, 0], pos[:, 1])
    r_end, z_end = (_round_up(float(np.max(np.abs(v), initial=1.0))) for v in (radius, pos[:, 2]))
    return (
        Axis(name="r", edges=tuple(np.linspace(0, r_end, num_r + 1).tolist()), unit="mm"),
        Axis(name="z", edges=tuple(np.linspace(-z_end, z_end, num_z + 1).tolist()), unit="mm"),
        Axis(name="hit_eta", edges=tuple(np.linspace(-4, 4, 33).tolist())),
    )


def _round_up(value: float) -> float:
    """Return the next number above ``value`` that is a multiple of a twentieth of its decade."""
    step = 10.0 ** np.floor(np.log10(value)) / 20
    return float(step * (np.floor(value / step) + 1))


class EdgeMaps:
    """Binned counts of the edges of several graphs, pooled over events.

    Parameters
    ----------
    stages : sequence of str
        Names of the graphs.
    particle_axes : sequence of Axis
        Axes of particle quantities.
    hit_axes : (Axis, Axis, Axis)
        Of r, z and the hit's pseudorapidity, as :func:`place_axes` returns them.
    """

    def __init__(
        self, *, stages: Sequence[str], particle_axes: Sequence[Axis], hit_axes: tuple[Axis, Axis, Axis]
    ) -> None:
        self.stages = tuple(stages)
        self._particle_axes, self._hit_axes = tuple(particle_axes), hit_axes
        r, z, _ = hit_axes
        sizes = {axis.name: num_entries(axis) for axis in (*particle_axes, *hit_axes)}
        sizes["map"] = num_entries(r) * num_entries(z)
        self._truth = {name: np.zeros(size, dtype=np.int64) for name, size in sizes.items()}
        self._found = {name: np.zeros((len(self.stages), size), dtype=np.int64) for name, size in sizes.items()}
        placed = (*(axis.name for axis in hit_axes), "map")
        self._kinds = {name: np.zeros((len(self.stages), 3, sizes[name]), dtype=np.int64) for name in placed}

    def add(
        self,
        pos: FloatArray,
        truth_edges: TruthEdges,
        graphs: Sequence[LabelledEdges],
        found: Sequence[BoolArray],
        particles: Mapping[str, tuple[FloatArray, BoolArray]],
    ) -> None:
        """Count one event.

        Parameters
        ----------
        pos : (N, 3)
            mm.
        graphs : sequence of LabelledEdges
            One for each stage.
        found : sequence of (T,) bool
            Which truth edges each stage holds.
        particles : mapping
            Axis name -> value (K,) and targets (K,) without the cut on that quantity.
        """
        where = self._bins_of_hits(pos)
        distance = (pos**2).sum(axis=1)
        inner = _inner(truth_edges.edge_index, distance)
        for name, bins in where.items():
            entries = bins[inner]
            self._count(name, entries, truth_edges.is_target, found)
            for number, edges in enumerate(graphs):
                here = bins[_inner(edges.edge_index, distance)]
                size = self._kinds[name].shape[2]
                packed = edges.kind.astype(np.int64) * size + here
                self._kinds[name][number] += np.bincount(packed, minlength=3 * size).reshape(3, size)
        for axis in self._particle_axes:
            value, target = particles[axis.name]
            entries = axis.bin_of(np.append(value, np.nan))[truth_edges.owner]
            self._count(axis.name, entries, np.append(target, False)[truth_edges.owner], found)

    def _bins_of_hits(self, pos: FloatArray) -> dict[str, IntArray]:
        radius = np.hypot(pos[:, 0], pos[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            values = (radius, pos[:, 2], np.arcsinh(pos[:, 2] / radius))
        bins = {axis.name: axis.bin_of(value) for axis, value in zip(self._hit_axes, values, strict=True)}
        bins["map"] = bins["r"] * num_entries(self._hit_axes[1]) + bins["z"]
        return bins

    def _count(self, name: str, entries: IntArray, wanted: BoolArray, found: Sequence[BoolArray]) -> None:
        size = self._truth[name].size
        self._truth[name] += np.bincount(entries[wanted], minlength=size)
        for number, mask in enumerate(found):
            self._found[name][number] += np.bincount(entries[wanted & mask], minlength=size)

    def curves(self) -> dict[str, Any]:
        """Return for each axis its bins and, for each rate and stage, the curve; what lies outside is counted."""
        result = {}
        for axis in (*self._particle_axes, *self._hit_axes):
            rates = {
                name: {stage: self._curve(axis, name, number) for number, stage in enumerate(self.stages)}
                for name in (
                    "edge_efficiency.target",
                    *(PURITIES if axis.name in self._kinds else ()),
                )
            }
            result[axis.name] = {
                "edges": list(axis.edges),
                "unit": axis.unit,
                "log": axis.log,
                "of": "inner hit of the edge" if axis.name in HIT_AXES else "particle of the truth edge",
                "rates": rates,
            }
        return result

    def _curve(self, axis: Axis, rate: str, stage: int) -> dict[str, Any]:
        columns = self._columns(axis.name, stage)[rate]
        outside = {"underflow": 0, "overflow": axis.num_bins + 1, "undefined": axis.num_bins + 2}
        sides = ("numerator", "denominator")
        return {
            "definition": columns["definition"],
            "interval_kind": columns["interval_kind"],
            **{name: columns[name][1 : axis.num_bins + 1] for name in (*sides, "value", "low", "high")},
            "outside": {where: {name: columns[name][entry] for name in sides} for where, entry in outside.items()},
        }

    def _columns(self, name: str, stage: int) -> dict[str, dict[str, Any]]:
        truth = {"num_target_true": self._found[name][stage], "num_truth_target": self._truth[name]}
        columns = proportion_columns(truth, names=("edge_efficiency.target",))
        if name not in self._kinds:
            return columns
        false, other, target = self._kinds[name][stage]
        edges = {
            "num_edges": false + other + target,
            "num_masked_edges": false + target,
            "num_true": other + target,
            "num_target_true": target,
        }
        return columns | proportion_columns(edges, names=PURITIES)

    def maps(self) -> dict[str, Any]:
        """Return the maps in r and z of the inner hit: for each stage and rate counts (R, Z), bins inside only."""
        r, z, _ = self._hit_axes

        def inside(column: list[int]) -> list[Any]:
            grid = np.reshape(column, (num_entries(r), num_entries(z)))
            return [plain(row) for row in grid[1 : r.num_bins + 1, 1 : z.num_bins + 1]]

        stages = {
            stage: {
                rate: {
                    "definition": column["definition"],
                    "numerator": inside(column["numerator"]),
                    "denominator": inside(column["denominator"]),
                }
                for rate, column in self._columns("map", number).items()
            }
            for number, stage in enumerate(self.stages)
        }
        return {"r_edges": list(r.edges), "z_edges": list(z.edges), "unit": "mm", "stages": stages}


def _inner(edge_index: IntArray, distance: FloatArray) -> IntArray:
    """Return the end (E,) of each edge that is nearer to the origin."""
    first, second = edge_index
    return np.where(distance[first] <= distance[second], first, second)
