"""Compare simulated tracker events with two real TrackML events: numbers on the screen, plots in docs/img.

    python docs/scripts/tracker_realism.py FULL THINNED [--num-events 3] [--pileup 200] [--output docs/img]

FULL is the prefix of one full event (hits and particles, no truth), THINNED the prefix of one with truth and cells
beside its detectors.csv.gz; a prefix is the path up to and with the event number. Nothing of the data is written, only
histograms.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hitloom.metrics.particle_id import decode_particle_id
from hitloom.simulate.acts_chain import Chain
from hitloom.simulate.modules import ModuleTable
from hitloom.simulate.tracker import TrackerConfig, simulate_event

VOLUMES = (7, 8, 9, 12, 13, 14, 16, 17, 18)
NAMES = {
    7: "pixel -z", 8: "pixel barrel", 9: "pixel +z", 12: "short strip -z", 13: "short strip barrel",
    14: "short strip +z", 16: "long strip -z", 17: "long strip barrel", 18: "long strip +z",
}  # fmt: skip
Z_EDGES = (0, 300, 600, 1000, 1500, 2000, 2500, 3000)
REAL, SIMULATED = "#333333", "#0072b2"


@dataclass
class Sample:
    """Hits, cells and particles of one or more events as tables with TrackML's column names; counts per event."""

    hits: pd.DataFrame  # x y z volume_id layer_id; with truth: particle tx..tpz, u v tu tv num_cells signal slant
    particles: pd.DataFrame  # vx..pz q nhits generation vertex
    num_events: int


def read_full(prefix: str) -> Sample:
    hits = pd.read_csv(f"{prefix}-hits.csv.gz")
    return Sample(hits=hits, particles=with_ids(pd.read_csv(f"{prefix}-particles.csv.gz")), num_events=1)


def with_ids(particles: pd.DataFrame) -> pd.DataFrame:
    ids = decode_particle_id(particles.particle_id.to_numpy())
    pt = np.hypot(particles.px, particles.py)
    return particles.assign(
        generation=ids.generation, vertex=ids.vertex, pt=pt, eta=np.arcsinh(particles.pz / pt),
        rho=np.hypot(particles.vx, particles.vy),
    )  # fmt: skip


def read_thinned(prefix: str) -> Sample:
    hits, truth, cells = (pd.read_csv(f"{prefix}-{part}.csv.gz") for part in ("hits", "truth", "cells"))
    particles = with_ids(pd.read_csv(f"{prefix}-particles.csv.gz"))
    detectors = pd.read_csv(Path(prefix).parent / "detectors.csv.gz")
    hits = hits.merge(truth, on="hit_id").merge(detectors, on=["volume_id", "layer_id", "module_id"])
    rotation = np.stack([hits[[f"rot_{row}{column}" for column in "uvw"]].to_numpy() for row in "xyz"], axis=1)
    add_local(hits, rotation, hits[["cx", "cy", "cz"]].to_numpy())
    by_hit = cells.groupby("hit_id").value.agg(num_cells="size", signal="sum")
    hits = hits.join(by_hit, on="hit_id")
    hits["is_noise"] = hits.particle_id == 0
    return Sample(hits=hits, particles=particles, num_events=1)


def add_local(hits: pd.DataFrame, rotation: np.ndarray, centre: np.ndarray) -> None:
    for names, columns in (("uv", "xyz"), (("tu", "tv"), ("tx", "ty", "tz"))):
        local = np.einsum("nij,ni->nj", rotation, hits[list(columns)].to_numpy() - centre)
        hits[names[0]], hits[names[1]] = local[:, 0], local[:, 1]
    momentum = hits[["tpx", "tpy", "tpz"]].to_numpy()
    along = np.abs(np.einsum("nij,ni->nj", rotation, momentum)[:, 2])
    hits["slant"] = np.linalg.norm(momentum, axis=1) / np.maximum(along, 1e-9)


def simulate(config: TrackerConfig, *, num_events: int, seed: int, modules: ModuleTable) -> Sample:
    all_hits, all_particles = [], []
    for event_id in range(num_events):
        begin = time.process_time()
        event = simulate_event(config, seed=seed, event_id=event_id)
        print(f"event {event_id}: {event.num_points} hits in {time.process_time() - begin:.1f} s of CPU")
        volume, layer, module = (event[name].numpy() for name in ("volume", "layer", "module"))
        hits = pd.DataFrame(event.pos.numpy().astype(float), columns=["x", "y", "z"])
        hits[["tx", "ty", "tz"]] = event.truth_pos.numpy().astype(float)
        hits[["tpx", "tpy", "tpz"]] = event.truth_momentum.numpy().astype(float)
        hits["volume_id"], hits["layer_id"] = volume, layer
        hits["is_noise"] = (event.object_index < 0).numpy()
        ids = np.append(event.object_id.numpy(), 0)
        hits["particle_id"] = ids[event.object_index.numpy()]
        rows = modules.rows_of(volume, layer, module)
        add_local(hits, modules.rotation[rows], modules.centre[rows])
        index = event.part_point_index.numpy()
        hits["num_cells"] = np.bincount(index, minlength=len(hits))
        hits["signal"] = np.bincount(index, weights=event.part_x[:, 2].numpy(), minlength=len(hits))
        hits["event"] = event_id
        particles = pd.DataFrame(
            {"particle_id": event.object_id.numpy(), "q": event.object_charge.numpy(), "event": event_id,
             "nhits": event.object_num_points.numpy()}
        )  # fmt: skip
        particles[["vx", "vy", "vz"]] = event.object_vertex.numpy()
        particles[["px", "py", "pz"]] = event.object_momentum.numpy()
        all_hits.append(hits)
        all_particles.append(with_ids(particles))
    return Sample(hits=pd.concat(all_hits), particles=pd.concat(all_particles), num_events=num_events)


def effective_bz(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """|z| in mm and Bz in T from the turning of the true momentum between consecutive hits, pt > 0.5 GeV."""
    keys = ["particle_id"] + (["event"] if "event" in sample.hits else [])
    table = sample.hits[~sample.hits.is_noise].merge(sample.particles, on=keys)
    table = table[table.pt > 0.5]
    table["d"] = (table.tx - table.vx) ** 2 + (table.ty - table.vy) ** 2 + (table.tz - table.vz) ** 2
    table = table.sort_values([*keys, "d"])
    first, second = table.iloc[:-1], table.iloc[1:]
    pair = (first[keys].to_numpy() == second[keys].to_numpy()).all(1)
    x0, x1, p0, p1 = (
        part[columns].to_numpy()[pair]
        for columns in (["tx", "ty", "tz"], ["tpx", "tpy", "tpz"])
        for part in (first, second)
    )
    turn = np.arctan2(p1[:, 1], p1[:, 0]) - np.arctan2(p0[:, 1], p0[:, 0])
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    length = np.hypot(*(x1 - x0)[:, :2].T)
    pt = np.hypot(*((p0 + p1) / 2)[:, :2].T)
    good = length > 20
    field = -first.q.to_numpy()[pair] * turn * pt / (0.299792458e-3 * np.maximum(length, 1e-9))
    return np.abs(x0 + x1)[good, 2] / 2, field[good]


def layer_counts(sample: Sample, *, noise: bool = True) -> pd.Series:
    hits = sample.hits if noise or "is_noise" not in sample.hits else sample.hits[~sample.hits.is_noise]
    return hits.groupby(["volume_id", "layer_id"]).size() / sample.num_events


def primaries(sample: Sample) -> pd.DataFrame:
    """Particles of generation 0 inside the default cuts of the simulation."""
    table = sample.particles
    return table[(table.generation == 0) & (table.pt > 0.15) & (table.rho < 24)]


def report_particles(samples: dict[str, Sample]) -> None:
    for name, sample in samples.items():
        events, table = sample.num_events, primaries(sample)
        vertices = table.groupby(["vertex"] + (["event"] if "event" in table else [])).size()
        eta = np.digitize(np.abs(table.eta), np.arange(0, 4, 0.5))
        per_eta = " ".join(f"{table.nhits[eta == i].mean():.2f}" for i in range(1, 9))
        later = sample.particles[(sample.particles.generation > 0) & (sample.particles.pt > 0.15)]
        print(
            f"\n{name}: {len(sample.hits) / events:.0f} hits, {len(sample.particles) / events:.0f} particles each\n"
            f"  primaries with pt > 0.15 GeV, rho < 24 mm: {len(table) / events:.0f} on "
            f"{len(vertices) / events:.0f} vertices, median {vertices.median():.0f} each\n"
            f"  hits per primary {table.nhits.mean():.2f}; none {np.mean(table.nhits == 0):.3f}; "
            f"below 4 {np.mean(table.nhits < 4):.3f}; in |eta| steps of 0.5: {per_eta}\n"
            f"  secondaries with pt > 0.15 GeV: {len(later) / len(table):.3f} per primary, "
            f"{later.nhits.mean():.2f} hits each, none {np.mean(later.nhits == 0):.3f}"
        )


def report_response(full: Sample, thinned: Sample, simulated: Sample) -> None:
    print("\nby volume, real then simulated: share of hits (full event) | cells per particle hit | share of noise |")
    print("  residual in u, v: median absolute in um | median of u in um (thinned event)")
    pair = (thinned, simulated)
    for volume in VOLUMES:
        share = [np.mean(s.hits.volume_id == volume) for s in (full, simulated)]
        tables = [s.hits[~s.hits.is_noise & (s.hits.volume_id == volume)] for s in pair]
        noise = [np.mean(s.hits.volume_id[s.hits.is_noise] == volume) for s in pair]
        cells = [table.num_cells.mean() for table in tables]
        spread = [[1000 * np.median(np.abs(r - r.median())) for r in (t.u - t.tu, t.v - t.tv)] for t in tables]
        bias = [1000 * np.median(t.u - t.tu) for t in tables]
        print(
            f"{volume:2d} {NAMES[volume]:18s} {share[0]:.3f} {share[1]:.3f} | {cells[0]:.2f} {cells[1]:.2f} | "
            f"{noise[0]:.3f} {noise[1]:.3f} | {spread[0][0]:.1f} {spread[1][0]:.1f}, "
            f"{spread[0][1]:.1f} {spread[1][1]:.1f} | {bias[0]:+.1f} {bias[1]:+.1f}"
        )
    print("\neffective Bz in T by |z| in mm: median (quartiles), real then simulated")
    fields = [effective_bz(sample) for sample in pair]
    for low, high in itertools.pairwise(Z_EDGES):
        parts = [np.quantile(f[(z >= low) & (z < high)], [0.5, 0.25, 0.75]) for z, f in fields]
        print(f"{low:5d}-{high:5d}: " + ", ".join(f"{m:+.2f} ({a:+.2f} to {b:+.2f})" for m, a, b in parts))
    for name, sample in zip(("real", "simulated"), pair, strict=True):
        hits = sample.hits[~sample.hits.is_noise]
        keys = ["particle_id", "volume_id", "layer_id"] + (["event"] if "event" in hits else [])
        print(f"{name}: extra hits on a layer {1 - hits.groupby(keys).ngroups / len(hits):.3f}", end="")
        for volume in (8, 9):
            ratio = (hits.signal / hits.slant)[hits.volume_id == volume]
            print(f"; volume {volume} signal / slant {ratio.mean():.4f} mm, std {ratio.std():.4f}", end="")
        print(f"; largest slant {hits.slant.max():.2f}")


def step(axis, centres_edges, values, label, colour, **style):
    axis.stairs(values, centres_edges, label=label, color=colour, linewidth=1.6, **style)


def plot_occupancy(full: Sample, simulated: Sample, path: Path) -> None:
    figure, axes = plt.subplots(3, 2, figsize=(13, 13), constrained_layout=True)
    real, made = layer_counts(full), layer_counts(simulated)
    keys = [key for volume in VOLUMES for key in real.index if key[0] == volume]
    edges = np.arange(len(keys) + 1) - 0.5
    top = axes[0, 0]
    step(top, edges, [real[key] for key in keys], "real, full event", REAL)
    step(top, edges, [made[key] for key in keys], f"simulated, mean of {simulated.num_events}", SIMULATED)
    middles = [np.mean([i for i, key in enumerate(keys) if key[0] == volume]) for volume in VOLUMES]
    top.set_xticks(middles, [str(volume) for volume in VOLUMES])
    top.set(xlabel="layer, grouped by volume ", ylabel="hits per event, noise included")
    top.legend(frameon=False)
    ratio = axes[0, 1]
    values = np.array([made[key] / real[key] for key in keys])
    ratio.errorbar(
        range(len(keys)), values, yerr=values / np.sqrt([real[key] for key in keys]), fmt=".", color=SIMULATED
    )
    overall = made.sum() / real.sum()
    ratio.axhline(overall, color=REAL, linewidth=1, label=f"all layers: {overall:.2f}")
    ratio.set_xticks(middles, [str(volume) for volume in VOLUMES])
    ratio.set(xlabel="layer, grouped by volume", ylabel="simulated / real hits", ylim=(0.5, 2.0))
    ratio.legend(frameon=False)
    for axis, sample, title in ((axes[1, 0], full, "real"), (axes[1, 1], simulated, "simulated")):
        hits = sample.hits if "event" not in sample.hits else sample.hits[sample.hits.event == 0]
        _, _, _, image = axis.hist2d(
            hits.z, np.hypot(hits.x, hits.y), bins=(310, 210), range=((-3100, 3100), (0, 1050)),
            norm=mpl.colors.LogNorm(vmin=1, vmax=300), cmap="viridis",
        )  # fmt: skip
        axis.set(xlabel="z (mm)", ylabel="r (mm)", title=f"{title}: {len(hits)} hits")
        figure.colorbar(image, ax=axis, label="hits per 20 x 5 mm")
    axis = axes[2, 0]
    edges = np.arange(-0.5, 22.5)
    for sample, label, colour in ((full, "real", REAL), (simulated, "simulated", SIMULATED)):
        table = sample.particles[(sample.particles.pt > 0.15) & (sample.particles.rho < 24)]
        step(axis, edges, np.histogram(table.nhits, edges)[0] / len(table), f"{label}, produced within 24 mm", colour)
        table = sample.particles[(sample.particles.pt > 0.15) & (sample.particles.generation > 0)]
        step(
            axis,
            edges,
            np.histogram(table.nhits, edges)[0] / len(table),
            f"{label}, secondaries",
            colour,
            linestyle=":",
        )
    axis.set(xlabel="hits per particle, pt > 0.15 GeV", ylabel="share of particles", ylim=(0, 0.27))
    axis.legend(frameon=False)
    axis = axes[2, 1]
    edges = np.linspace(0, 4, 17)
    for sample, label, colour in ((full, "real", REAL), (simulated, "simulated", SIMULATED)):
        table = primaries(sample)
        where = np.digitize(np.abs(table.eta), edges) - 1
        mean = [table.nhits[where == i].mean() for i in range(16)]
        error = [table.nhits[where == i].std() / np.sqrt(max((where == i).sum(), 1)) for i in range(16)]
        axis.errorbar((edges[1:] + edges[:-1]) / 2, mean, yerr=error, fmt="o-", markersize=4, color=colour, label=label)
    axis.set(xlabel="|eta|", ylabel="mean hits per primary particle", ylim=(0, 14))
    axis.legend(frameon=False)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def plot_response(thinned: Sample, simulated: Sample, path: Path) -> None:
    figure, axes = plt.subplots(3, 2, figsize=(13, 13), constrained_layout=True)
    pairs = ((thinned, "real, thinned event", REAL), (simulated, "simulated", SIMULATED))
    axis = axes[0, 0]
    edges = np.arange(0.5, 21.5)
    for sample, label, colour in pairs:
        for volumes, style, name in (
            ((8,), "-", "pixel barrel"),
            ((13,), "--", "short strip barrel"),
            ((7, 9), ":", "pixel endcap"),
        ):
            hits = sample.hits[sample.hits.volume_id.isin(volumes) & ~sample.hits.is_noise]
            step(
                axis,
                edges,
                np.histogram(np.minimum(hits.num_cells, 20), edges)[0] / len(hits),
                f"{label}, {name}",
                colour,
                linestyle=style,
            )
    axis.set(xlabel="cells per particle hit (20: 20 and more)", ylabel="share of hits", yscale="log", ylim=(1e-3, 1.5))
    axis.legend(frameon=False, fontsize=8)
    axis = axes[0, 1]
    places = np.arange(len(VOLUMES))
    for (sample, label, colour), offset in zip(pairs, (-0.2, 0.2), strict=True):
        noise = sample.hits[sample.hits.is_noise]
        axis.bar(places + offset, [np.mean(noise.volume_id == v) for v in VOLUMES], 0.4, color=colour,
                 label=f"{label}: noise {np.mean(sample.hits.is_noise):.3f} of hits")  # fmt: skip
    axis.set_xticks(places, [str(v) for v in VOLUMES])
    axis.set(xlabel="volume", ylabel="share of all noise hits")
    axis.legend(frameon=False)
    for axis, volume, column, limit in ((axes[1, 0], 8, "u", 30), (axes[1, 1], 13, "u", 80)):
        edges = np.linspace(-limit, limit, 61)
        for sample, label, colour in pairs:
            hits = sample.hits[(sample.hits.volume_id == volume) & ~sample.hits.is_noise]
            residual = 1000 * (hits[column] - hits[f"t{column}"])
            step(
                axis,
                edges,
                np.histogram(residual, edges)[0] / len(hits),
                f"{label}, std {residual.std():.1f} um",
                colour,
            )
        axis.set(xlabel=f"volume {volume} ({NAMES[volume]}): measured - true {column} (um)", ylabel="share of hits")
        axis.legend(frameon=False)
    axis = axes[2, 0]
    edges = np.linspace(0, 0.5, 51)
    for sample, label, colour in pairs:
        for volumes, style in (((8,), "-"), ((7, 9), ":")):
            hits = sample.hits[sample.hits.volume_id.isin(volumes) & ~sample.hits.is_noise]
            name = "pixel barrel" if volumes == (8,) else "pixel endcaps"
            step(
                axis,
                edges,
                np.histogram(hits.signal / hits.slant, edges)[0] / len(hits),
                f"{label}, {name}",
                colour,
                linestyle=style,
            )
    axis.set(xlabel="signal of the cluster / slant of the track (mm)", ylabel="share of hits")
    axis.legend(frameon=False, fontsize=8)
    axis = axes[2, 1]
    for (sample, label, colour), offset in zip(pairs, (-20, 20), strict=True):
        z, field = effective_bz(sample)
        middles, medians, spread = [], [], []
        for low, high in itertools.pairwise(Z_EDGES):
            values = field[(z >= low) & (z < high)]
            quartiles = np.quantile(values, [0.25, 0.5, 0.75])
            middles.append((low + high) / 2 + offset)
            medians.append(quartiles[1])
            spread.append((quartiles[1] - quartiles[0], quartiles[2] - quartiles[1]))
        axis.errorbar(
            middles,
            medians,
            yerr=np.array(spread).T,
            fmt="o",
            markersize=4,
            color=colour,
            label=f"{label}: median, quartiles",
        )
    axis.set(xlabel="|z| (mm)", ylabel="effective Bz from the turning of momenta (T)")
    axis.legend(frameon=False)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("full")
    parser.add_argument("thinned")
    parser.add_argument("--num-events", type=int, default=3)
    parser.add_argument("--pileup", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "img")
    arguments = parser.parse_args()
    config = TrackerConfig(pileup=arguments.pileup)
    modules = Chain(config=config).modules
    simulated = simulate(config, num_events=arguments.num_events, seed=arguments.seed, modules=modules)
    full, thinned = read_full(arguments.full), read_thinned(arguments.thinned)
    report_particles({"real, full event": full, "simulated": simulated})
    report_response(full, thinned, simulated)
    arguments.output.mkdir(parents=True, exist_ok=True)
    plot_occupancy(full, simulated, arguments.output / "tracker_occupancy.png")
    plot_response(thinned, simulated, arguments.output / "tracker_response.png")


if __name__ == "__main__":
    main()
