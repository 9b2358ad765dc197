"""A table of particles as columns, and the 64-bit particle id.

Legend: P particles.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from hitloom.errors import DataError
from hitloom.metrics.particle_id import encode_particle_id


@dataclass(frozen=True, kw_only=True)
class ParticleTable:
    """Particles as columns, each (P,) int64 or float64; mm, GeV, charge in e, ``t`` in mm (c t)."""

    vertex: np.ndarray
    primary: np.ndarray
    generation: np.ndarray
    secondary: np.ndarray
    process: np.ndarray
    pdg: np.ndarray
    charge: np.ndarray
    mass: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    t: np.ndarray
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray

    def __len__(self) -> int:
        return len(self.pdg)

    @classmethod
    def from_rows(cls, rows: list[tuple[float, ...]]) -> ParticleTable:
        """Build the table from tuples in the order of the columns; integers must be below 2^53."""
        names = [field.name for field in fields(cls)]
        array = np.array(rows, dtype=np.float64).reshape(-1, len(names))
        columns = {name: np.ascontiguousarray(array[:, i]) for i, name in enumerate(names)}
        for name in ("vertex", "primary", "generation", "secondary", "process", "pdg"):
            columns[name] = columns[name].astype(np.int64)
        return cls(**columns)

    def select(self, keep: np.ndarray) -> ParticleTable:
        """Return the rows of ``keep``, a mask or row numbers."""
        return ParticleTable(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    @property
    def momentum(self) -> np.ndarray:
        """(P, 3) GeV."""
        return np.stack([self.px, self.py, self.pz], axis=1)

    @property
    def position(self) -> np.ndarray:
        """(P, 3) mm, point of production."""
        return np.stack([self.x, self.y, self.z], axis=1)

    @property
    def pt(self) -> np.ndarray:
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> np.ndarray:
        return np.arcsinh(self.pz / np.maximum(self.pt, 1e-12))

    def packed_ids(self) -> np.ndarray:
        """Return (P,) int64 particle ids in TrackML's bit fields (:mod:`hitloom.metrics.particle_id`).

        Raises
        ------
        DataError
            When a number does not fit its field or two particles get the same id.
        """
        ids = encode_particle_id(
            vertex=self.vertex,
            primary=self.primary,
            generation=self.generation,
            secondary=self.secondary,
            process=self.process,
        )
        values, counts = np.unique(ids, return_counts=True)
        if len(values) != len(ids):
            raise DataError(f"simulated event: particle id {int(values[counts > 1][0])} belongs to two particles")
        return ids


def concatenate(tables: list[ParticleTable]) -> ParticleTable:
    """Return the rows of several tables, one after the other."""
    names = [field.name for field in fields(ParticleTable)]
    return ParticleTable(**{name: np.concatenate([getattr(table, name) for table in tables]) for name in names})


def renumbered(table: ParticleTable) -> ParticleTable:
    """Return the table with ``secondary`` counted from 1 in each (vertex, primary, generation), 0 for primaries."""
    keys = np.stack([table.vertex, table.primary, table.generation], axis=1)
    order = np.lexsort((np.arange(len(table)), keys[:, 2], keys[:, 1], keys[:, 0]))
    new = np.ones(len(table), dtype=bool)
    new[1:] = (keys[order][1:] != keys[order][:-1]).any(1)
    start = np.maximum.accumulate(np.where(new, np.arange(len(table)), 0))
    secondary = np.empty(len(table), dtype=np.int64)
    secondary[order] = np.arange(len(table)) - start + 1
    return replace(table, secondary=np.where(table.generation > 0, secondary, 0))
