"""Particles into and hits out of an ACTS sequencer, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from hitloom.simulate.particles import ParticleTable

_ROWS_PER_VERTEX = 32768  # a barcode has 16 bits for the particle, and Fatras takes no generation in its input
PARTICLES_IN, PARTICLES_OUT, HITS_OUT = "particles_in", "particles_out", "hits"


def particle_source(particles: ParticleTable) -> Any:
    """Return an ACTS reader that hands over ``particles`` as its only event; their barcodes hold the row."""
    import acts
    import acts.examples as examples
    from acts.fatras import Barcode

    class Source(examples.IReader):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("HitloomParticles", acts.logging.FATAL)
            self.handle = examples.WriteDataHandle(self, examples.SimParticleContainer, "OutputParticles")
            self.handle.initialize(PARTICLES_IN)

        def availableEvents(self) -> tuple[int, int]:
            return 0, 1

        def read(self, context: Any) -> Any:
            container = examples.SimParticleContainer()
            names = ("pdg", "charge", "mass", "x", "y", "z", "t", "px", "py", "pz")
            columns = [getattr(particles, name).tolist() for name in names]
            for row, (pdg, charge, mass, x, y, z, t, px, py, pz) in enumerate(zip(*columns, strict=True)):
                barcode = Barcode()
                barcode.vertexPrimary, barcode.particle = 1 + row // _ROWS_PER_VERTEX, 1 + row % _ROWS_PER_VERTEX
                particle = examples.SimParticle(barcode, acts.PdgParticle(pdg), charge, mass)
                particle.fourPosition = acts.Vector4(x, y, z, t)
                particle.direction = acts.Vector3(px, py, pz)
                particle.absoluteMomentum = (px * px + py * py + pz * pz) ** 0.5
                container.insert(particle)
            self.handle(context, container)
            return examples.ProcessCode.SUCCESS

    return Source()


def collector(collected: dict[str, Any]) -> Any:
    """Return an ACTS algorithm that copies hits and particles of the event into ``collected``.

    ``codes`` (H, 6) int64: geometry id, the barcode's vertex, particle, generation and sub-particle, and the order
    along the track; ``hits`` (H, 6): position in mm and momentum in GeV before the surface; ``particles``: rows of
    :class:`~hitloom.simulate.particles.ParticleTable`, its first four columns from the barcode.
    """
    import acts
    import acts.examples as examples

    class Collector(examples.IAlgorithm):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("HitloomCollector", acts.logging.FATAL)
            self.hits = examples.ReadDataHandle(self, examples.SimHitContainer, "InputHits")
            self.hits.initialize(HITS_OUT)
            self.particles = examples.ReadDataHandle(self, examples.SimParticleContainer, "InputParticles")
            self.particles.initialize(PARTICLES_OUT)

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
        at[0],
        at[1],
        at[2],
        at[3],
        momentum[0],
        momentum[1],
        momentum[2],
    )


def input_rows(particles: ParticleTable) -> np.ndarray:
    """Return the row, in the table given to :func:`particle_source`, of each collected particle or its ancestor."""
    return (particles.vertex - 1) * _ROWS_PER_VERTEX + particles.primary - 1
