"""The ACTS generic detector and Fatras: a table of particles in, true crossings of surfaces out.

Source: X. Ai et al., Comput. Softw. Big Sci. 6 (2022) 8, https://arxiv.org/abs/2106.13593 (ACTS); the chain runs in
memory, without files, in one thread. Legend: P particles, H crossings.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.errors import HitloomError, require_extra
from hitloom.simulate.acts_io import HITS_OUT, PARTICLES_IN, PARTICLES_OUT, collector, input_rows, particle_source
from hitloom.simulate.field import acts_field
from hitloom.simulate.material import MaterialTable, material_table
from hitloom.simulate.modules import ModuleTable, module_table
from hitloom.simulate.particles import ParticleTable

if TYPE_CHECKING:
    from hitloom.simulate.tracker_config import TrackerConfig


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """True crossings of surfaces, sorted by particle and order along the track.

    ``particle`` (H,) rows of the particle table, ``module`` (H,) rows of the module table, -1 on passive material,
    ``order`` (H,) counter along the track, ``material`` (H,) interaction lengths crossed, ``position`` (H, 3) mm and
    ``momentum`` (H, 3) GeV before the surface.
    """

    particle: np.ndarray
    module: np.ndarray
    order: np.ndarray
    material: np.ndarray
    position: np.ndarray
    momentum: np.ndarray

    def __len__(self) -> int:
        return len(self.particle)

    def select(self, keep: np.ndarray) -> Crossings:
        """Return the rows of ``keep``, a mask or row numbers."""
        return Crossings(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def first_on_modules(self) -> Crossings:
        """Return the crossings of sensitive modules, only the first of each particle on each module."""
        rows = np.flatnonzero(self.module >= 0)
        by_module = rows[np.lexsort((self.order[rows], self.module[rows], self.particle[rows]))]
        module, particle = self.module[by_module], self.particle[by_module]
        first = np.ones(len(rows), dtype=bool)
        first[1:] = (particle[1:] != particle[:-1]) | (module[1:] != module[:-1])
        return self.select(np.sort(by_module[first]))


@lru_cache(maxsize=1)
def _detector() -> tuple[Any, Any, ModuleTable, MaterialTable]:
    """Return detector, tracking geometry, modules and material; the same for every configuration, so built once."""
    import acts
    import acts.examples

    settings = acts.examples.GenericDetector.Config()
    for name in ("logLevel", "surfaceLogLevel", "layerLogLevel", "volumeLogLevel"):
        setattr(settings, name, acts.logging.FATAL)
    detector = acts.examples.GenericDetector(settings)
    geometry = detector.trackingGeometry()
    return detector, geometry, module_table(geometry=geometry), material_table(geometry=geometry)


class Chain:
    """Geometry and field, built once; :meth:`run` simulates the particles of one event."""

    def __init__(self, *, config: TrackerConfig) -> None:
        require_extra("acts", "sim")
        self.config = config
        self._detector, self._geometry, self.modules, self._material = _detector()
        self._field = acts_field(config=config)

    def run(self, *, particles: ParticleTable, seed: int) -> tuple[ParticleTable, Crossings]:
        """Follow ``particles`` through the detector.

        Returns the particles with the secondaries that Fatras made, and the crossings. The few particles that Fatras
        cannot start or follow leave no crossing, or those before the failure.
        """
        import acts
        import acts.examples as examples

        quiet = acts.logging.FATAL
        numbers = examples.RandomNumbers.Config()
        numbers.seed = seed
        sequencer = examples.Sequencer(events=1, numThreads=1, trackFpes=False, logLevel=quiet)
        sequencer.addReader(particle_source(particles))
        config = self.config
        sequencer.addAlgorithm(
            examples.FatrasSimulation(
                level=quiet,
                inputParticles=PARTICLES_IN,
                outputParticles=PARTICLES_OUT,
                outputSimHits=HITS_OUT,
                randomNumbers=examples.RandomNumbers(numbers),
                trackingGeometry=self._geometry,
                magneticField=self._field,
                pMin=config.min_pt * acts.UnitConstants.GeV,
                generateHitsOnSensitive=True,
                generateHitsOnMaterial=config.nuclear_interactions,
                emScattering=config.interactions,
                emEnergyLossIonisation=config.interactions,
                emEnergyLossRadiation=config.interactions,
                emPhotonConversion=config.photon_conversions,
            )
        )
        collected: dict[str, Any] = {}
        sequencer.addAlgorithm(collector(collected))
        try:
            sequencer.run()
        except RuntimeError as error:
            raise HitloomError(f"the ACTS simulation failed: {error}; its own message stands above") from None
        table = ParticleTable.from_rows(collected["particles"])
        crossings = self._crossings(table, collected["codes"], collected["hits"])
        return _with_input_ids(table, particles), crossings

    def _crossings(self, table: ParticleTable, codes: np.ndarray, values: np.ndarray) -> Crossings:
        particle = _match(table, codes[:, 1:5])
        ordered = np.lexsort((codes[:, 5], particle))
        particle, codes, values = particle[ordered], codes[ordered], values[ordered]
        geometry_id = codes[:, 0]
        sensitive = (geometry_id >> 8) & 0xFFFFF
        on_module = np.flatnonzero(sensitive > 0)
        module = np.full(len(codes), -1, dtype=np.int64)
        module[on_module] = self.modules.rows_of(
            geometry_id[on_module] >> 56, (geometry_id[on_module] >> 36) & 0xFFF, sensitive[on_module]
        )
        position, momentum = values[:, :3], values[:, 3:]
        return Crossings(
            particle=particle,
            module=module,
            order=codes[:, 5],
            material=self._material.path(geometry_id, position, momentum),
            position=position,
            momentum=momentum,
        )


def _with_input_ids(table: ParticleTable, particles: ParticleTable) -> ParticleTable:
    """Return ``table`` with the vertex, primary and generation that the input particles had before the barcodes."""
    rows = input_rows(table)
    same = table.generation == 0
    return replace(
        table,
        vertex=particles.vertex[rows],
        primary=particles.primary[rows],
        generation=particles.generation[rows] + table.generation,
        secondary=np.where(same, particles.secondary[rows], table.secondary),
        process=np.where(same, particles.process[rows], table.process),
    )


def _match(table: ParticleTable, keys: np.ndarray) -> np.ndarray:
    """Return the row of ``table`` of each (vertex, primary, generation, secondary)."""
    ours = np.stack([table.vertex, table.primary, table.generation, table.secondary], axis=1)
    _, inverse = np.unique(np.concatenate([ours, keys]), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    row_of = np.full(inverse.max() + 1 if len(inverse) else 0, -1, dtype=np.int64)
    row_of[inverse[: len(ours)]] = np.arange(len(ours))
    rows = row_of[inverse[len(ours) :]]
    if len(rows) and rows.min() < 0:
        raise HitloomError("ACTS returned a hit of a particle that it did not return; this version is not supported")
    return rows
