"""What passes through liquid argon leaves there: particles with their ancestry, and deposits of energy in 3D.

Shape letters: P particles, D deposits. Lengths in cm, energies and momenta in MeV, in the frame of the detector
(x drift, y up, z along the beam).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ArgonParticles:
    """All particles of an event, secondaries included; a parent comes before its children.

    Attributes
    ----------
    pdg : (P,) int64
    parent : (P,) int64
        Row of the parent; -1 = primary.
    start, end : (P, 3) float64
        Where the particle begins and ends.
    momentum : (P, 3) float64
        At the start.
    energy : (P,) float64
        Kinetic energy at the start; the whole energy of a photon.
    from_beam : (P,) bool
        False for cosmic muons and all they make.
    """

    pdg: NDArray[np.int64]
    parent: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    momentum: NDArray[np.float64]
    energy: NDArray[np.float64]
    from_beam: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ArgonDeposits:
    """Straight steps with the energy left on them.

    Attributes
    ----------
    start, end : (D, 3) float64
    energy : (D,) float64
        Deposited energy of the step.
    particle : (D,) int64
        Row of the particle that left it.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    energy: NDArray[np.float64]
    particle: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ArgonEvent:
    """One event in argon: its vertex (3,) float64, its particles and what they leave."""

    vertex: NDArray[np.float64]
    particles: ArgonParticles
    deposits: ArgonDeposits
