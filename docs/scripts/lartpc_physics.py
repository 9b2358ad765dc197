"""Compare simulated showers and tracks in argon with textbook values: numbers on the screen, a plot in docs/img.

python docs/scripts/lartpc_physics.py [--num 300] [--output docs/img]
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import curve_fit
from scipy.special import gamma

from hitloom.simulate import lartpc_physics as physics
from hitloom.simulate.lartpc_cascade import Primary, propagate
from hitloom.simulate.lartpc_config import CascadeConfig, LArTPCConfig
from hitloom.simulate.lartpc_deposits import ArgonDeposits, ArgonParticles
from hitloom.simulate.lartpc_generator import argon_event
from hitloom.simulate.lartpc_tables import energy_for_length

BOX = np.array([[-1e4] * 3, [1e4] * 3])
ALONG = np.array([0.0, 0.0, 1.0])
PDG = {"electron": 11, "photon": 22, "muon": 13, "pion": 211, "proton": 2212}
COLOURS = {"electron": "#009e73", "photon": "#0072b2"}
X0 = physics.RADIATION_LENGTH


DEFAULT = CascadeConfig()


def shoot(
    species: str, energy: float, seed: int, config: CascadeConfig = DEFAULT
) -> tuple[ArgonParticles, ArgonDeposits]:
    """Send one particle along z into argon without walls."""
    primary = Primary(pdg=PDG[species], start=np.zeros(3), direction=ALONG, energy=energy)
    return propagate([primary], config, box=BOX, rng=np.random.default_rng(seed))


def gamma_curve(t: np.ndarray, a: float, b: float) -> np.ndarray:
    """Share of the energy per radiation length at depth ``t``."""
    return b * (b * t) ** (a - 1) * np.exp(-b * t) / gamma(a)


def profile(species: str, energy: float, num: int) -> dict[str, float | np.ndarray]:
    """Longitudinal and radial profile of ``num`` showers."""
    edges, rings = np.arange(0.0, 30.25, 0.5), np.linspace(0.0, 60.0, 601)
    along, across, total = np.zeros(len(edges) - 1), np.zeros(len(rings) - 1), 0.0
    for seed in range(num):
        _, deposits = shoot(species, energy, seed)
        middle = (deposits.start + deposits.end) / 2
        depth = middle[:, 2] / X0
        along += np.histogram(depth, edges, weights=deposits.energy)[0]
        across += np.histogram(np.hypot(middle[:, 0], middle[:, 1]), rings, weights=deposits.energy)[0]
        total += deposits.energy.sum()
    depth, share = (edges[1:] + edges[:-1]) / 2, along / total / 0.5
    (a, b), _ = curve_fit(gamma_curve, depth, share, p0=(3.0, 0.5), bounds=([1.0, 0.1], [10.0, 2.0]))
    return {
        "depth": depth, "profile": share, "a": a, "b": b,
        "peak": (a - 1) / b, "expected": math.log(energy / 32.0) + (0.5 if species == "photon" else -0.5),
        "radius": rings[1 + np.searchsorted(np.cumsum(across) / total, 0.9)], "sum": total / num / energy,
        "highest": edges[np.argmax(along)] + 0.25,
    }  # fmt: skip


def showers(num: int, output: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.4), sharey=True, layout="constrained")
    for axis, species in zip(axes, ("electron", "photon"), strict=True):
        for energy, style in ((300.0, ":"), (1000.0, "--"), (3000.0, "-")):
            made = profile(species, energy, num)
            print(
                f"{species:8s} {energy:6.0f} MeV  a {made['a']:.2f}  b {made['b']:.3f}  peak {made['peak']:.2f} X0"
                f" (expected {made['expected']:.2f}, highest bin {made['highest']:.2f})"
                f"  90 % within {made['radius']:.1f} cm  deposited {made['sum']:.6f}"
            )
            axis.plot(
                made["depth"], made["profile"], style, color=COLOURS[species], label=f"{energy / 1000:g} GeV", lw=1.6
            )
            t = np.linspace(0.01, 30.0, 300)
            curve = gamma_curve(t, made["a"], made["b"])
            axis.plot(t, curve, color="0.55", lw=0.8, zorder=0)
        axis.set(xlabel="depth / X0", title=species, xlim=(0, 20))
        axis.legend(frameon=False)
    axes[0].set_ylabel("share of the energy per X0")
    figure.savefig(output / "lartpc_profiles.png", dpi=110)


def photons(num: int) -> None:
    for energy in (2.0, 20.0, 100.0, 1000.0):
        e = np.array([energy])
        rate = physics.pair_rate(e) + physics.compton_rate(e) + physics.photoelectric_rate(e)
        config = CascadeConfig(photon_cut=min(0.9 * energy, 10.0), bremsstrahlung_cut=10.0)
        first = []
        for seed in range(num):
            particles, _ = shoot("photon", energy, seed, config)
            child = np.flatnonzero(particles.parent == 0)
            if len(child):
                first.append(np.linalg.norm(particles.start[child[0]]))
        print(
            f"photon {energy:6.0f} MeV: mean free path {1 / rate[0]:.1f} cm, first charge after {np.mean(first):.1f} cm"
        )


def tracks(num: int) -> None:
    quiet = CascadeConfig(interactions=False, decays=False, scattering=False)
    for species, row, energy in (("muon", 1, 200.0), ("pion", 2, 200.0), ("proton", 3, 100.0), ("proton", 3, 300.0)):
        ends = [shoot(species, energy, seed, quiet)[0].end[0, 2] for seed in range(num)]
        mean, width = np.mean(ends), np.std(ends)
        table = energy_for_length(float(mean), row, quiet)
        print(f"{species} {energy:.0f} MeV: stops after {mean:.2f} +- {width:.2f} cm, the range of {table:.1f} MeV")
    for energy in (266.0, 1000.0, 5000.0):
        lost = []
        for seed in range(num):
            _, deposits = shoot("muon", energy, seed, quiet)
            lost.append(deposits.energy[deposits.start[:, 2] < 10.0].sum() / 10.0)
        print(f"muon {energy:.0f} MeV: {np.mean(lost):.3f} MeV/cm, median {np.median(lost):.3f}")


def speed(num: int) -> None:
    config = LArTPCConfig()
    argon_event(config, np.random.default_rng(0))
    before, deposits, particles = time.process_time(), [], []
    for seed in range(num):
        event = argon_event(config, np.random.default_rng(seed))
        deposits.append(len(event.deposits.energy))
        particles.append(len(event.particles.pdg))
    each = 1000 * (time.process_time() - before) / num
    print(
        f"{each:.1f} ms an event, {np.mean(deposits):.0f} deposits (largest {max(deposits)}),"
        f" {np.mean(particles):.0f} particles"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=300)
    parser.add_argument("--output", type=Path, default=Path("docs/img"))
    options = parser.parse_args()
    showers(options.num, options.output)
    photons(options.num)
    tracks(options.num)
    speed(options.num)


if __name__ == "__main__":
    main()
