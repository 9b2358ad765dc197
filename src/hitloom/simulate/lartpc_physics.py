"""Passage of particles through liquid argon: stopping powers and mean free paths as functions of energy.

Kinetic energies in MeV, lengths in cm; every function takes and gives arrays. Rates are inverse mean free paths (1/cm).

Sources: stopping power and density effect: Review of Particle Physics, chapter "Passage of particles through matter";
electrons: M. J. Berger and S. M. Seltzer, formula of Moller for the part below a cut; bremsstrahlung and pairs:
Y.-S. Tsai, Rev. Mod. Phys. 46 (1974) 815, with the usual fit of screening functions to Thomas-Fermi atoms (H. Messel
and D. F. Crawford, 1970); pairs near the threshold: L. C. Maximon's series of the Born cross section; Compton
scattering: O. Klein and Y. Nishina. Material constants of liquid argon: R. M. Sternheimer et al. (1984).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DENSITY = 1.396  # g/cm3
CHARGE, MASS_NUMBER = 18.0, 39.948
RADIATION_LENGTH = 14.0
INTERACTION_LENGTH = 84.0
CRITICAL_ENERGY = 32.0
ELECTRON_MASS = 0.51099895
MUON_MASS, PION_MASS, PROTON_MASS, NEUTRAL_PION_MASS = 105.6583755, 139.57039, 938.27209, 134.9768
EXCITATION = 188e-6  # MeV
XI = 0.307075 / 2 * CHARGE / MASS_NUMBER * DENSITY  # MeV/cm: K Z/A rho / 2, in front of all losses to electrons
_CBAR, _X0, _X1, _A, _K = 5.2146, 0.2, 3.0, 0.19559, 3.0
_ELECTRONS = DENSITY * 0.602214076 * CHARGE / MASS_NUMBER  # per cm and barn
_FINE = 1.0 / 137.036
_RADIUS2 = 0.0794078  # barn: square of the classical radius of the electron
_COULOMB = (CHARGE * _FINE) ** 2 * (1 / (1 + (CHARGE * _FINE) ** 2) + 0.20206 - 0.0369 * (CHARGE * _FINE) ** 2)
SCREENING = 136.0 * CHARGE ** (-1 / 3)
SCREENING_OFFSET = 4.0 / 3.0 * math.log(CHARGE) + 4.0 * _COULOMB


def density_effect(beta_gamma: Floats) -> Floats:
    """Return the correction delta of the density effect in the parametrisation of Sternheimer."""
    x = np.log10(beta_gamma)
    high = 2 * math.log(10) * x - _CBAR
    return np.where(x >= _X1, high, np.where(x >= _X0, high + _A * np.maximum(_X1 - x, 0.0) ** _K, 0.0))


def max_transfer(energy: Floats, mass: float) -> Floats:
    """Return the largest energy that a heavy particle can give to an electron."""
    gamma = 1 + energy / mass
    ratio = ELECTRON_MASS / mass
    return 2 * ELECTRON_MASS * (gamma**2 - 1) / (1 + 2 * gamma * ratio + ratio**2)


def heavy_loss(energy: Floats, mass: float, cut: float = math.inf) -> Floats:
    """Return the mean loss (MeV/cm) of a particle of charge 1 by transfers below ``cut``: formula of Bethe."""
    gamma = 1 + energy / mass
    beta2 = 1 - 1 / gamma**2
    largest = max_transfer(energy, mass)
    upper = np.minimum(cut, largest)
    logarithm = np.log(2 * ELECTRON_MASS * (gamma**2 - 1) * upper / EXCITATION**2)
    bracket = logarithm - beta2 * (1 + upper / largest) - density_effect(np.sqrt(gamma**2 - 1))
    # below some 0.5 MeV per nucleon the formula fails; what is left there is a fraction of a millimetre
    return XI / beta2 * np.maximum(bracket, 1.0)


def electron_loss(energy: Floats, cut: float = math.inf) -> Floats:
    """Return the mean loss (MeV/cm) of an electron in collisions that give less than ``cut``; also for positrons."""
    tau = energy / ELECTRON_MASS
    gamma = tau + 1
    beta2 = 1 - 1 / gamma**2
    upper = np.minimum(cut / ELECTRON_MASS, tau / 2)
    moller = (
        -1 - beta2 + np.log((tau - upper) * upper) + tau / (tau - upper)
        + (upper**2 / 2 + (2 * tau + 1) * np.log(1 - upper / tau)) / gamma**2
    )  # fmt: skip
    bracket = np.log(2 * (gamma + 1) / (EXCITATION / ELECTRON_MASS) ** 2) + moller
    bracket = bracket - density_effect(np.sqrt(gamma**2 - 1))
    return XI / beta2 * np.maximum(bracket, 1.0)


def moller_rate(energy: Floats, cut: float) -> Floats:
    """Return the rate of knock-on electrons above ``cut``; the slower of both electrons is the one knocked on."""
    gamma = 1 + energy / ELECTRON_MASS
    beta2 = 1 - 1 / gamma**2
    low = np.minimum(cut / energy, 0.5)
    mixed = (2 * gamma - 1) / gamma**2
    integral = (
        ((gamma - 1) / gamma) ** 2 * (0.5 - low)
        + 1 / low - 1 / (1 - low) - mixed * np.log((1 - low) / low)
    )  # fmt: skip
    return XI / beta2 / energy * integral


def screening_functions(delta: Floats) -> tuple[Floats, Floats]:
    """Return both screening functions, less the charge of the nucleus and the Coulomb correction."""
    beyond = 21.12 - 4.184 * np.log(delta + 0.952)
    first = np.where(delta <= 1, 20.867 - 3.242 * delta + 0.625 * delta**2, beyond)
    second = np.where(delta <= 1, 20.209 - 1.930 * delta - 0.086 * delta**2, beyond)
    return np.maximum(first - SCREENING_OFFSET, 0.0), np.maximum(second - SCREENING_OFFSET, 0.0)


def _normalisation() -> float:
    first, second = screening_functions(np.zeros(1))
    return float(4 / 3 * first[0] - second[0] / 3)


def bremsstrahlung(energy: Floats, photon: Floats) -> Floats:
    """Return k times the rate per photon energy k (1/cm); its integral over k is energy / X0 at high energies."""
    total = energy + ELECTRON_MASS
    share = (total - photon) / total
    first, second = screening_functions(SCREENING * photon * ELECTRON_MASS / (total * np.maximum(total - photon, 1e-9)))
    return ((1 + share**2) * first - 2 / 3 * share * second) / _normalisation() / RADIATION_LENGTH


def _between(low: Floats, high: Floats, num: int = 200) -> tuple[Floats, Floats]:
    """Return Gauss-Legendre points and weights (..., num) of the intervals."""
    nodes, weights = np.polynomial.legendre.leggauss(num)
    half = (high - low)[..., None] / 2
    return low[..., None] + half * (nodes + 1), half * weights


def bremsstrahlung_rate(energy: Floats, cut: float) -> Floats:
    """Return the rate of photons above ``cut``."""
    logs, weights = _between(np.log(np.minimum(cut, energy)), np.log(energy))
    return np.sum(bremsstrahlung(energy[..., None], np.exp(logs)) * weights, axis=-1)


def soft_radiation(energy: Floats, cut: float = math.inf) -> Floats:
    """Return the mean loss (MeV/cm) by photons below ``cut``."""
    photons, weights = _between(np.zeros_like(energy), np.minimum(cut, energy))
    return np.sum(bremsstrahlung(energy[..., None], photons) * weights, axis=-1)


def pair_rate(energy: Floats) -> Floats:
    """Return the rate of pairs: screened at high energies, the Born series where screening does not matter yet."""
    low = np.minimum(ELECTRON_MASS / energy, 0.5)
    shares, weights = _between(low, 1 - low)
    product = np.maximum(shares * (1 - shares), 1e-12)
    first, second = screening_functions(SCREENING * ELECTRON_MASS / (energy[..., None] * product))
    spectrum = (shares**2 + (1 - shares) ** 2) * first + 2 / 3 * product * second
    screened = np.sum(spectrum * weights, axis=-1) / _normalisation() / RADIATION_LENGTH
    k = np.maximum(energy / ELECTRON_MASS, 2.0)
    born = np.where(k < 4, _born_near(k), _born_far(np.maximum(k, 4.0)))
    atoms = _ELECTRONS / CHARGE
    triplet = 1 + 1 / CHARGE * np.clip((k - 4) / 16, 0.0, 1.0)
    unscreened = _FINE * _RADIUS2 * CHARGE**2 * atoms * born * triplet
    share = np.clip(np.log(k / 10) / math.log(10), 0.0, 1.0)
    return np.where(energy > 2 * ELECTRON_MASS, share * screened + (1 - share) * unscreened, 0.0)


def _born_near(k: Floats) -> Floats:
    """Born cross section of pairs over alpha r^2 Z^2 for photon energies k (electron masses) below 4."""
    eta = (2 * k - 4) / (2 + k + 2 * np.sqrt(2 * k))
    series = 1 + eta / 2 + 23 / 40 * eta**2 + 11 / 60 * eta**3 + 29 / 960 * eta**4
    return 2 * math.pi / 3 * ((k - 2) / k) ** 3 * series


def _born_far(k: Floats) -> Floats:
    """Born cross section of pairs over alpha r^2 Z^2 for photon energies k (electron masses) above 4."""
    log = np.log(2 * k)
    second = 6 * log - 3.5 + 2 / 3 * log**3 - log**2 - math.pi**2 / 3 * log + 2 * 1.2020569 + math.pi**2 / 6
    fourth = 3 / 16 * log + 1 / 8
    sixth = 29 / (9 * 256) * log - 77 / (27 * 512)
    return 28 / 9 * log - 218 / 27 + (2 / k) ** 2 * second - (2 / k) ** 4 * fourth - (2 / k) ** 6 * sixth


def compton_rate(energy: Floats) -> Floats:
    """Return the rate of scattering on free electrons."""
    k = energy / ELECTRON_MASS
    log = np.log(1 + 2 * k)
    first = (1 + k) / k**2 * (2 * (1 + k) / (1 + 2 * k) - log / k)
    return 2 * math.pi * _RADIUS2 * _ELECTRONS * (first + log / (2 * k) - (1 + 3 * k) / (1 + 2 * k) ** 2)


def photoelectric_rate(energy: Floats) -> Floats:
    """Return the rate of absorption: a power law through 0.058 cm2/g at 0.1 MeV (attenuation less scattering)."""
    return 0.058 * DENSITY * (0.1 / energy) ** 2.9
