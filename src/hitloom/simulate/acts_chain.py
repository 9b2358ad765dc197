"""The ACTS generic detector and Fatras: a table of particles in, true crossings of the modules out.

Source: X. Ai et al., Comput. Softw. Big Sci. 6 (2022) 8, https://arxiv.org/abs/2106.13593 (ACTS); the chain runs in
memory, without files, in one thread. Legend: P particles, H crossings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.errors import HitloomError, require_extra
from hitloom.simulate.field import acts_field
from hitloom.simulate.modules import ModuleTable, module_table
from hitloom.simulate.particles import ParticleTable

if TYPE_CHECKING:
    from hitloom.simulate.tracker_config import TrackerConfig


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """True crossings of sensitive modules, first one per particle and module.

    ``particle`` (H,) rows of the particle table, ``module`` (H,) rows of the module table, ``position`` (H, 3) mm and
    ``momentum`` (H, 3) GeV before the module's material.
    """

    particle: np.ndarray
    module: np.ndarray
    position: np.ndarray
    momentum: np.ndarray

    def __len__(self) -> int:
        return len(self.particle)


class Chain:
    """Geometry and field, built once; :meth:`run` simulates one event."""

    def __init__(self, *, config: TrackerConfig) -> None:
        require_extra("acts", "sim")
        import acts
        import acts.examples

        self.config = config
        settings = acts.examples.GenericDetector.Config()
        for name in ("logLevel", "surfaceLogLevel", "layerLogLevel", "volumeLogLevel"):
            setattr(settings, name, acts.logging.FATAL)
        self._detector = acts.examples.GenericDetector(settings)
        self._geometry = self._detector.trackingGeometry()
        self._field = acts_field(config=config)
        self.modules: ModuleTable = module_table(geometry=self._geometry)

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
        sequencer.addReader(_particle_source(particles))
        config = self.config
        sequencer.addAlgorithm(
            examples.FatrasSimulation(
                level=quiet,
                inputParticles="particles_in",
                outputParticles="particles_out",
                outputSimHits="hits",
                randomNumbers=examples.RandomNumbers(numbers),
                trackingGeometry=self._geometry,
                magneticField=self._field,
                pMin=config.min_pt * acts.UnitConstants.GeV,
                generateHitsOnSensitive=True,
                emScattering=config.interactions,
                emEnergyLossIonisation=config.interactions,
                emEnergyLossRadiation=config.interactions,
                emPhotonConversion=config.photon_conversions,
            )
        )
        collected: dict[str, np.ndarray] = {}
        sequencer.addAlgorithm(_collector(collected))
        sequencer.run()
        if "hits" not in collected:
            raise HitloomError("the ACTS simulation ended without an event; see its messages above")
        table = ParticleTable.from_rows(collected["particles"])
        return table, self._crossings(table, collected)

    def _crossings(self, table: ParticleTable, collected: dict[str, np.ndarray]) -> Crossings:
        codes, values = collected["codes"], collected["hits"]
        module = self.modules.rows_of(codes[:, 0] >> 56, (codes[:, 0] >> 36) & 0xFFF, (codes[:, 0] >> 8) & 0xFFFFF)
        particle = _match(table, codes[:, 1:5])
        # sorted by particle, module and order along the track: keep the first of each (particle, module)
        order = np.lexsort((codes[:, 5], module, particle))
        particle, module, values = particle[order], module[order], values[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (particle[1:] != particle[:-1]) | (module[1:] != module[:-1])
        return Crossings(
            particle=particle[first], module=module[first], position=values[first, :3], momentum=values[first, 3:]
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


def _particle_source(particles: ParticleTable) -> Any:
    """Return an ACTS reader that hands over ``particles``."""
    import acts
    import acts.examples as examples
    from acts.fatras import Barcode

    class Source(examples.IReader):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("HitloomParticles", acts.logging.FATAL)
            self.handle = examples.WriteDataHandle(self, examples.SimParticleContainer, "OutputParticles")
            self.handle.initialize("particles_in")

        def availableEvents(self) -> tuple[int, int]:  # noqa: N802
            return 0, 1

        def read(self, context: Any) -> Any:
            container = examples.SimParticleContainer()
            names = ("vertex", "primary", "pdg", "charge", "mass", "x", "y", "z", "t", "px", "py", "pz")
            columns = [getattr(particles, name).tolist() for name in names]
            for vertex, primary, pdg, charge, mass, x, y, z, t, px, py, pz in zip(*columns, strict=True):
                barcode = Barcode()
                barcode.vertexPrimary, barcode.particle = vertex, primary
                particle = examples.SimParticle(barcode, acts.PdgParticle(pdg), charge, mass)
                particle.fourPosition = acts.Vector4(x, y, z, t)
                particle.direction = acts.Vector3(px, py, pz)
                particle.absoluteMomentum = (px * px + py * py + pz * pz) ** 0.5
                container.insert(particle)
            self.handle(context, container)
            return examples.ProcessCode.SUCCESS

    return Source()


def _collector(collected: dict[str, Any]) -> Any:
    """Return an ACTS algorithm that copies hits and particles of the event into ``collected``."""
    import acts
    import acts.examples as examples

    class Collector(examples.IAlgorithm):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("HitloomCollector", acts.logging.FATAL)
            self.hits = examples.ReadDataHandle(self, examples.SimHitContainer, "InputHits")
            self.hits.initialize("hits")
            self.particles = examples.ReadDataHandle(self, examples.SimParticleContainer, "InputParticles")
            self.particles.initialize("particles_out")

        def execute(self, context: Any) -> Any:
            codes, values = [], []
            for hit in self.hits(context.eventStore):
                key, at, momentum = hit.particleId, hit.fourPosition, hit.momentum4Before
                codes.append(
                    (hit.geometryId.value, key.vertexPrimary, key.particle, key.generation, key.subParticle, hit.index)
                )
                values.append((at[0], at[1], at[2], momentum[0], momentum[1], momentum[2]))
            collected["codes"] = np.array(codes, dtype=np.int64).reshape(-1, 6)
            collected["hits"] = np.array(values, dtype=np.float64).reshape(-1, 6)
            collected["particles"] = [_row(particle) for particle in self.particles(context.eventStore)]
            return examples.ProcessCode.SUCCESS

    return Collector()


def _row(particle: Any) -> tuple[float, ...]:
    """One row of :class:`ParticleTable` from an ACTS particle, at its production."""
    key, at, momentum = particle.particleId, particle.fourPosition, particle.momentum
    return (
        key.vertexPrimary,
        key.particle,
        key.generation,
        key.subParticle,
        particle.process.value,
        int(particle.pdg),
        particle.charge,
        particle.mass,
        *(at[i] for i in range(4)),
        *(momentum[i] for i in range(3)),
    )
