"""Compare simulated showers with textbook and public tables: numbers on the screen, plots in docs/img.

    python docs/scripts/calorimeter_realism.py [--layer-clusters FOLDER] [--num 100] [--pileup 30] [--output docs/img]

FOLDER holds event*.csv.gz with rows "cluster,x,y,z,energy,label" of real layer clusters; only histograms are written.
The shapes of the simulated showers are toy: this says what they reproduce.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from hitloom.config import build
from hitloom.data.endcap_geometry import get_geometry
from hitloom.simulate.calorimeter import Steps, simulate_event, simulate_particles
from hitloom.simulate.calorimeter_config import CalorimeterConfig
from hitloom.simulate.calorimeter_particles import Source

GEOMETRY = get_geometry()
RADIATION, INTERACTION = np.cumsum(GEOMETRY.radiation_lengths), np.cumsum(GEOMETRY.interaction_lengths)
QUANTILES = (0.05, 0.1, 0.5, 0.9, 0.95)
# layers of the public table of an older geometry (28 + 12 + 12 layers), and its absorber, assumed
OLD_RADIATION = np.cumsum([0.65] * 10 + [0.88] * 10 + [1.26] * 8)
OLD_INTERACTION = np.cumsum([1.3 / 28] * 28 + [0.29] * 12 + [0.43] * 12)
TABLE = {
    "electron": (12.1, (5, 6, 12, 19, 21)),
    "photon": (13.5, (6, 8, 13, 20, 22)),
    "pion": (32.0, (16, 21, 33, 41, 43)),
}
COLOURS = {"photon": "#0072b2", "electron": "#009e73", "pion": "#d55e00"}


def settings(species: str, energy: float, number: int, **values: Any) -> CalorimeterConfig:
    gun = {"species": [species], "energy": [energy, energy], "num_particles": number, "eta": [1.8, 2.6]}
    return build(CalorimeterConfig, {"gun": gun, "upstream_interactions": 0.0, **values})


def steps(config: CalorimeterConfig, *, event_id: int, seed: int) -> Steps:
    table = Source(config=config).particles(seed=seed, event_id=event_id)
    return simulate_particles(table, config, seed=seed, event_id=event_id)


def raw_energies(made: Steps) -> np.ndarray:
    """Energy in layer clusters of each particle (K,)."""
    cluster, owner = made.clustered.share_index
    energy = made.clusters.energy[cluster] * made.clustered.share_fraction
    return np.bincount(owner, weights=energy, minlength=len(made.entering))


def response(species: str, energies: list[float], *, num: int, seed: int) -> np.ndarray:
    """Rows (energy, mean / energy, its error, width / mean, its error)."""
    rows = []
    for number, energy in enumerate(energies):
        config = settings(species, energy, 10)
        raw = [raw_energies(steps(config, event_id=100 * number + i, seed=seed)) for i in range(num // 20)]
        values = np.concatenate(raw)
        mean, width = values.mean() / energy, values.std(ddof=1) / values.mean()
        root = np.sqrt(len(values))
        rows.append((energy, mean, mean * width / root, width, width / root / np.sqrt(2)))
        print(f"{species} {energy:.0f} GeV: response {mean:.3f}, width / mean {width:.4f} "
              f"(times sqrt(E) {width * energy**0.5:.3f}), {len(values)} particles")  # fmt: skip
    return np.array(rows)


def fit(rows: np.ndarray) -> tuple[float, float]:
    """Stochastic and constant term of sigma / E = a / sqrt(E) (+) c, by weighted least squares in the squares."""
    weight = 1 / (2 * rows[:, 3] * rows[:, 4])
    design = np.stack([1 / rows[:, 0], np.ones(len(rows))], axis=1) * weight[:, None]
    a2, c2 = np.linalg.lstsq(design, rows[:, 3] ** 2 * weight, rcond=None)[0]
    return float(np.sqrt(max(a2, 0))), float(np.sqrt(max(c2, 0)))


def plot_response(output: Path, *, num: int, seed: int) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    expected = {"photon": "0.20 to 0.24 / sqrt(E)", "pion": "0.75 / sqrt(E)"}
    for species, energies in (("photon", [10, 20, 50, 100, 200]), ("pion", [10, 20, 50, 100, 200, 400])):
        rows = response(species, energies, num=num, seed=seed)
        a, c = fit(rows)
        print(f"{species}: {a:.3f} / sqrt(E) (+) {c:.3f}, expected {expected[species]}")
        style = {"color": COLOURS[species], "marker": "o", "ls": ""}
        left.errorbar(rows[:, 0], rows[:, 1], rows[:, 2], label=species, **style)
        right.errorbar(rows[:, 0], rows[:, 3], rows[:, 4], **style)
        grid = np.geomspace(8, 500, 100)
        right.plot(
            grid,
            np.hypot(a / np.sqrt(grid), c),
            color=COLOURS[species],
            label=f"{species}: {a:.2f}/sqrt(E) (+) {c:.3f}",
        )
        term = {"photon": 0.214, "pion": 0.75}[species]
        right.plot(grid, term / np.sqrt(grid), ":", color=COLOURS[species], label=f"table: {term}/sqrt(E)")
    left.axhline(1, color="0.6", lw=0.8)
    left.set(xscale="log", xlabel="energy in GeV", ylabel="mean raw / true energy", ylim=(0.8, 1.15))
    right.set(xscale="log", yscale="log", xlabel="energy in GeV", ylabel="width / mean of raw energy")
    left.legend(frameon=False)
    right.legend(frameon=False, fontsize=7)
    save(figure, output / "calorimeter_response.png")


def plot_profiles(output: Path, *, num: int, seed: int) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    for species, energy in (("electron", 35.0), ("photon", 35.0), ("pion", 100.0)):
        made = steps(settings(species, energy, num // 2), event_id=0, seed=seed)
        spots, hadron = made.spots, species == "pion"
        depth, old = (INTERACTION, OLD_INTERACTION) if hadron else (RADIATION, OLD_RADIATION)
        layers = np.bincount(spots.layer - 1, weights=spots.energy, minlength=len(depth))
        mean = (layers * depth).sum() / layers.sum()
        summed = np.cumsum(layers) / layers.sum()
        ours = [float(depth[np.searchsorted(summed, q)]) for q in QUANTILES]
        table_mean, table_layers = TABLE[species]
        theirs = [float(old[layer - 1]) for layer in table_layers]
        wanted = np.interp(table_mean, np.arange(len(old) + 1), np.r_[0, old])
        unit = "lambda" if hadron else "X0"
        print(f"{species} {energy:.0f} GeV: mean depth {mean:.2f} {unit} (table {wanted:.2f}); 5, 10, 50, 90, 95 %: "
              f"{np.round(ours, 2).tolist()} (table {np.round(theirs, 2).tolist()})")  # fmt: skip
        axis = axes[1] if hadron else axes[0]
        edges = np.r_[0, (depth[1:] + depth[:-1]) / 2, depth[-1] + (depth[-1] - depth[-2]) / 2]
        density = layers / layers.sum() / np.diff(edges)
        axis.stairs(density, edges, color=COLOURS[species], label=f"{species} {energy:.0f} GeV")
        for x in theirs:
            axis.axvline(x, color=COLOURS[species], ls=":", lw=0.8)
        for x in ours:
            axis.plot(x, 0, "^", color=COLOURS[species], ms=5, clip_on=False)
        at = made.entering.at[spots.particle]
        step = GEOMETRY.z[spots.layer - 1] - GEOMETRY.front_z
        off = np.hypot(spots.x - at[:, 0] - at[:, 3] * step, spots.y - at[:, 1] - at[:, 4] * step)
        order = np.argsort(off)
        contained = np.cumsum(spots.energy[order]) / spots.energy.sum()
        axes[2].plot(off[order][::50], contained[::50], color=COLOURS[species], label=f"{species} {energy:.0f} GeV")
        half, most = (off[order][np.searchsorted(contained, share)] for share in (0.5, 0.9))
        print(f"{species}: 50, 90 % within {half:.2f}, {most:.2f} cm")
    r = np.linspace(0, 30, 200)
    core, halo = 108 * 1.93, 95 * 7.6
    axes[2].plot(
        r,
        (core * (1 - np.exp(-r / 1.93)) + halo * (1 - np.exp(-r / 7.6))) / (core + halo),
        ":",
        color=COLOURS["pion"],
        label="table, core and halo",
    )
    axes[2].plot(2.8, 0.9, "k*", label="90 % at the Moliere radius")
    axes[0].set(xlabel="depth in X0", ylabel="share of energy per X0", xlim=(0, 27))
    axes[1].set(xlabel="depth in interaction lengths", ylabel="share of energy per length")
    axes[2].set(xlabel="distance from the axis in cm", ylabel="share of energy within", xlim=(0, 30))
    for axis in axes:
        axis.legend(frameon=False, fontsize=7)
        axis.set_ylim(bottom=0)
    save(figure, output / "calorimeter_profiles.png")


def plot_multiplicity(output: Path, folder: Path | None, *, num: int, seed: int) -> None:
    config, num_events = CalorimeterConfig(), max(num // 3, 4)
    events = [simulate_event(config, seed=seed, event_id=i) for i in range(num_events)]
    nodes = np.array([event.num_points for event in events])
    edges = np.array([event.edge_index.shape[1] for event in events])
    positive = sum(int((event.edge_y > 0).sum()) for event in events) / edges.sum()
    print(f"10 pions per endcap, {num_events} events: {nodes.mean():.0f} tracksters (max {nodes.max()}; reference "
          f"266), {edges.mean():.0f} edges (905), {positive:.2f} positive (0.85)")  # fmt: skip
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    left.hist(nodes, bins=15, color=COLOURS["pion"])
    left.axvline(266, color="k", ls=":", label="reference, mean")
    left.set(xlabel="tracksters per event, 10 pions per endcap", ylabel="events")
    left.legend(frameon=False)
    mixed = build(CalorimeterConfig, {"gun": {"species": ["photon", "electron", "muon", "pion", "neutral_hadron"],
                  "num_particles": 5, "endcap": "forward", "energy": [50, 300]}})  # fmt: skip
    sample = [simulate_event(mixed, seed=seed, event_id=i) for i in range(10)]
    bins = np.geomspace(5e-3, 50, 40)
    energy = [event.part_energy.numpy().astype(float) for event in sample]
    describe("simulated, 5 mixed particles of 50 to 300 GeV", energy)
    right.hist(
        np.concatenate(energy), bins=bins, density=True, histtype="step", color=COLOURS["photon"], label="simulated"
    )
    if folder is not None:
        import pandas as pd

        tables = [pd.read_csv(path, header=None, names=list("abcdef")) for path in sorted(folder.glob("event*.csv.gz"))]
        real = [table[table.a == "cluster"].e.astype(float).to_numpy() for table in tables]
        describe("real, 5 particles of unknown energies", real)
        right.hist(np.concatenate(real), bins=bins, density=True, histtype="step", color="k", label="real")
    right.set(xscale="log", yscale="log", xlabel="energy of a layer cluster in GeV", ylabel="density")
    right.legend(frameon=False)
    save(figure, output / "calorimeter_multiplicity.png")


def describe(name: str, energies: list[np.ndarray]) -> None:
    density = [len(one) / one.sum() for one in energies]
    quantiles = np.quantile(np.concatenate(energies), (0.01, 0.1, 0.5, 0.9, 0.99))
    print(f"{name}: {np.min(density):.2f} to {np.max(density):.2f} layer clusters per GeV; "
          f"energy at 1, 10, 50, 90, 99 %: {np.round(quantiles, 3).tolist()}")  # fmt: skip


def time_events(pileup: float, *, seed: int) -> None:
    config = build(CalorimeterConfig, {"pileup": pileup})
    simulate_event(config, seed=seed, event_id=0)
    begin = time.process_time()
    events = [simulate_event(config, seed=seed, event_id=i) for i in (1, 2, 3)]
    each = (time.process_time() - begin) / len(events)
    parts, nodes, edges = (
        np.mean([count(event) for event in events])
        for count in (lambda e: e.num_parts, lambda e: e.num_points, lambda e: e.edge_index.shape[1])
    )
    print(f"pile-up {pileup:.0f}: {each:.2f} s of CPU per event, {parts:.0f} layer clusters, {nodes:.0f} tracksters, "
          f"{edges:.0f} edges")  # fmt: skip


def save(figure: Any, path: Path) -> None:
    figure.suptitle("simulated calorimeter; the shapes of showers are toy", fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer-clusters", type=Path)
    parser.add_argument("--num", type=int, default=100, help="particles per point")
    parser.add_argument("--pileup", type=float, nargs="*", default=[0.0, 30.0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("docs/img"))
    options = parser.parse_args()
    plot_response(options.output, num=options.num, seed=options.seed)
    plot_profiles(options.output, num=options.num, seed=options.seed)
    plot_multiplicity(options.output, options.layer_clusters, num=options.num, seed=options.seed)
    for pileup in options.pileup:
        time_events(pileup, seed=options.seed)


if __name__ == "__main__":
    main()
