"""Events in liquid argon: showers and tracks from one vertex, cosmic muons besides, each through the argon.

Lengths cm, energies MeV, in the frame of the detector: x drift, y up, z along the beam.
"""

from __future__ import annotations

import math

import numpy as np

from hitloom.data.lartpc_detectors import get_detector
from hitloom.simulate.lartpc_cascade import Primary, propagate
from hitloom.simulate.lartpc_config import GeneratorConfig, LArTPCConfig, Range
from hitloom.simulate.lartpc_deposits import ArgonEvent
from hitloom.simulate.lartpc_physics import Floats
from hitloom.simulate.lartpc_tables import energy_for_length

_PDG = {"electron": 11, "photon": 22, "muon": 13, "pion": 211, "proton": 2212}
_ROW = {"muon": 1, "pion": 2, "proton": 3}  # of the tables of tracks
_EITHER_CHARGE = ("muon", "pion")
_LONGEST = 20.0  # times the mean length of tracks


def argon_event(config: LArTPCConfig, rng: np.random.Generator, box: Floats | None = None) -> ArgonEvent:
    """Draw one event: it depends on the configuration and the state of ``rng`` alone.

    Parameters
    ----------
    config
        Settings of the simulation; ``readout`` and ``clusters`` are not looked at.
    rng
        All randomness comes from it.
    box : (2, 3) float64, optional
        Lowest and highest corner of the argon in cm, instead of the detector's.
    """
    corners = np.array(get_detector(config.detector).box, dtype=np.float64).T if box is None else np.asarray(box)
    vertex = _vertex(config.generator, corners, rng)
    primaries = [
        *_showers(config.generator, vertex, rng),
        *_tracks(config, vertex, rng),
        *_pions(config.generator, vertex, rng),
        *_cosmics(config.generator, vertex, corners, rng),
    ]
    particles, deposits = propagate(primaries, config.cascade, box=corners, rng=rng)
    return ArgonEvent(vertex=vertex, particles=particles, deposits=deposits)


def _vertex(config: GeneratorConfig, box: Floats, rng: np.random.Generator) -> Floats:
    margin = np.minimum(config.margin, 0.1 * (box[1] - box[0]))
    return rng.uniform(box[0] + margin, box[1] - margin)


def _showers(config: GeneratorConfig, vertex: Floats, rng: np.random.Generator) -> list[Primary]:
    found = []
    for _ in range(_number(config.num_showers, rng)):
        kind = str(rng.choice(config.shower_species))
        energy = _log_uniform(config.shower_energy, rng)
        found.append(
            Primary(pdg=_PDG[kind], start=vertex, direction=random_direction(config.forward, rng), energy=energy)
        )
    return found


def _tracks(config: LArTPCConfig, vertex: Floats, rng: np.random.Generator) -> list[Primary]:
    settings, found = config.generator, []
    for _ in range(_number(settings.num_tracks, rng)):
        kind = str(rng.choice(settings.track_species))
        sign = int(rng.choice((-1, 1))) if kind in _EITHER_CHARGE else 1
        length = settings.min_track_length + rng.exponential(settings.track_length - settings.min_track_length)
        energy = energy_for_length(min(length, _LONGEST * settings.track_length), _ROW[kind], config.cascade)
        direction = random_direction(settings.forward, rng)
        found.append(Primary(pdg=sign * _PDG[kind], start=vertex, direction=direction, energy=energy))
    return found


def _pions(config: GeneratorConfig, vertex: Floats, rng: np.random.Generator) -> list[Primary]:
    found = []
    for _ in range(_number(config.num_pi0, rng)):
        energy = _log_uniform(config.pi0_energy, rng)
        found.append(Primary(pdg=111, start=vertex, direction=random_direction(config.forward, rng), energy=energy))
    return found


def _cosmics(config: GeneratorConfig, vertex: Floats, box: Floats, rng: np.random.Generator) -> list[Primary]:
    """Draw muons from above that pass the vertex at most ``cosmic_radius`` away; they start at the wall."""
    found = []
    for _ in range(rng.poisson(config.num_cosmics)):
        cosine, angle = rng.random() ** 0.25, rng.uniform(-math.pi, math.pi)  # intensity cos^2, through a flat surface
        sine = math.sqrt(1.0 - cosine**2)
        direction = np.array([sine * math.cos(angle), -cosine, sine * math.sin(angle)])
        across = random_direction(0.0, rng)
        across -= direction * (across @ direction)
        across /= np.linalg.norm(across)
        passing = vertex + across * config.cosmic_radius * math.sqrt(rng.random())
        start = _entry(passing, direction, box)
        energy, sign = _log_uniform(config.cosmic_energy, rng), int(rng.choice((-1, 1)))
        if start is not None:
            found.append(Primary(pdg=13 * sign, start=start, direction=direction, energy=energy, from_beam=False))
    return found


def _entry(point: Floats, direction: Floats, box: Floats) -> Floats | None:
    """Return where a line enters the box; None where it misses it."""
    with np.errstate(divide="ignore"):
        ways = (box - point) / direction
    first, last = float(ways.min(axis=0).max()), float(ways.max(axis=0).min())
    if first >= last:
        return None
    return np.clip(point + first * direction, box[0], box[1])


def random_direction(forward: float, rng: np.random.Generator) -> Floats:
    """Return a unit vector (3,) of density exp(forward * cosine to z)."""
    if forward > 0:
        cosine = 1.0 + math.log1p(-rng.random() * (1.0 - math.exp(-2.0 * forward))) / forward
    else:
        cosine = rng.uniform(-1.0, 1.0)
    angle = rng.uniform(-math.pi, math.pi)
    sine = math.sqrt(max(1.0 - cosine**2, 0.0))
    return np.array([sine * math.cos(angle), sine * math.sin(angle), cosine])


def _number(limits: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(limits[0], limits[1] + 1))


def _log_uniform(limits: Range, rng: np.random.Generator) -> float:
    return float(math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]))))
