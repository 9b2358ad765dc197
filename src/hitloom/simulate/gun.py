"""Single particles instead of collisions: log-uniform in pt, flat in eta and phi."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hitloom.errors import ConfigError

if TYPE_CHECKING:
    from hitloom.simulate.tracker_config import TrackerConfig

# |pdg|: (charge of the positive code in e, mass in GeV); Particle Data Group 2024.
PARTICLES = {
    11: (-1.0, 0.000511),
    13: (-1.0, 0.1056584),
    22: (0.0, 0.0),
    211: (1.0, 0.1395704),
    321: (1.0, 0.493677),
    2212: (1.0, 0.9382721),
}


def shoot(config: TrackerConfig, rng: np.random.Generator, point: np.ndarray) -> list[tuple[float, ...]]:
    """Return the rows of :class:`~hitloom.simulate.particles.ParticleTable` for one event, all from ``point``.

    Raises
    ------
    ConfigError
        When the particle is not in :data:`PARTICLES`.
    """
    if abs(config.gun_pdg) not in PARTICLES:
        valid = ", ".join(str(code) for code in PARTICLES)
        raise ConfigError(f"gun_pdg {config.gun_pdg} is not known to the gun. Valid: {valid} (either sign).")
    charge, mass = PARTICLES[abs(config.gun_pdg)]
    num = config.gun_num_particles
    low, high = config.gun_pt
    pt = np.exp(rng.uniform(math.log(low), math.log(high), size=num))
    eta = rng.uniform(-config.max_eta, config.max_eta, size=num)
    phi = rng.uniform(-math.pi, math.pi, size=num)
    sign = rng.choice([-1, 1], size=num) if charge else np.ones(num, dtype=int)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    x, y, z = (float(value) for value in point)
    return [
        (1, i + 1, 0, 0, 0, sign[i] * abs(config.gun_pdg), sign[i] * charge, mass, x, y, z, 0.0, px[i], py[i], pz[i])
        for i in range(num)
    ]
