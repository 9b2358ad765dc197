"""Matching 100,000 hits and 10,000 tracks: hitloom against a pandas group-by and a plain loop over hits.

All three compute the same counts (double majority and purity > 50 %: efficiency, fakes, duplicates), which is checked
before anything is timed. Medians over interleaved repetitions on one thread; read the ratios.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--hits 100000] [--tracks 10000] [--repeats 7]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections import Counter

import numpy as np
import pandas as pd

from hitloom.metrics import (
    Evaluator,
    EventTruth,
    Selection,
    match_event,
    track_confusion,
    track_kinematics,
    trackml_score,
)

Outcome = dict[str, int]
NAMES = ("num_target", "num_found", "num_tracks", "num_matched_tracks", "num_matched_target_tracks")
SELECTION = Selection(min_pt=1.0, max_abs_eta=2.5)
STYLES = ("double_majority", "purity50")


def make_event(num_hits: int, num_tracks: int, seed: int = 0) -> tuple[np.ndarray, EventTruth, pd.DataFrame]:
    """Return labels, truth and the hit table: 15 % noise, 80 % of hits labelled right, the rest anywhere or nowhere."""
    rng = np.random.default_rng(seed)
    index = np.where(rng.random(num_hits) < 0.15, -1, rng.integers(0, num_tracks, num_hits))
    labels = np.where(rng.random(num_hits) < 0.8, index, rng.integers(-1, num_tracks, num_hits))
    truth = EventTruth(
        object_index=index,
        object_id=rng.permutation(np.arange(1, num_tracks + 1)) * (900_000_000_000_000_000 // num_tracks) + 7,
        pt=rng.exponential(1.0, num_tracks),
        eta=rng.uniform(-4, 4, num_tracks),
        phi=rng.uniform(-np.pi, np.pi, num_tracks),
        vertex_radius=rng.exponential(10.0, num_tracks),
        weight=np.where(index >= 0, rng.random(num_hits), 0.0),
    )
    safe = np.maximum(index, 0)
    hits = pd.DataFrame(
        {
            "track": labels,
            "particle": np.where(index >= 0, truth.object_id[safe], 0),
            "pt": np.where(index >= 0, truth.pt[safe], 0.0),
            "eta": np.where(index >= 0, truth.eta[safe], 0.0),
            "weight": truth.weight,
        }
    )
    return labels, truth, hits


def by_hitloom(labels: np.ndarray, truth: EventTruth, hits: pd.DataFrame) -> dict[str, Outcome]:
    counts = match_event(labels, truth, SELECTION, matches=STYLES)
    return {style: {name: int(counts[style][name]) for name in NAMES} for style in STYLES}


def by_pandas(labels: np.ndarray, truth: EventTruth, hits: pd.DataFrame) -> dict[str, Outcome]:
    """The usual formulation: group by (track, particle), join both sizes, keep the rows that pass."""
    particles = (
        hits[hits.particle != 0].groupby("particle").agg(size=("pt", "size"), pt=("pt", "first"), eta=("eta", "first"))
    )
    targets = particles[(particles["size"] >= 3) & (particles.pt > 1.0) & (particles.eta.abs() < 2.5)]
    assigned = hits[hits.track >= 0]
    shared = assigned.groupby(["track", "particle"]).size().reset_index(name="shared")
    tracks = assigned.groupby("track").size().rename("track_size")
    shared = shared.join(tracks, on="track").join(particles["size"].rename("particle_size"), on="particle")
    shared = shared[(shared.track_size >= 3) & (shared.particle != 0)]
    pure = shared[2 * shared.shared > shared.track_size]
    outcome = {}
    for style, rows in (("double_majority", pure[2 * pure.shared > pure.particle_size]), ("purity50", pure)):
        on_target = rows[rows.particle.isin(targets.index)]
        outcome[style] = {
            "num_target": len(targets),
            "num_found": on_target.particle.nunique(),
            "num_tracks": int((tracks >= 3).sum()),
            "num_matched_tracks": rows.track.nunique(),
            "num_matched_target_tracks": on_target.track.nunique(),
        }
    return outcome


def by_loop(labels: np.ndarray, truth: EventTruth, hits: pd.DataFrame) -> dict[str, Outcome]:
    """One pass over hits, one over tracks, with dictionaries."""
    content: dict[int, Counter[int]] = {}
    size: Counter[int] = Counter()
    kinematics: dict[int, tuple[float, float]] = {}
    for track, particle, pt, eta in zip(
        hits.track.tolist(), hits.particle.tolist(), hits.pt.tolist(), hits.eta.tolist(), strict=True
    ):
        if particle:
            size[particle] += 1
            kinematics[particle] = (pt, eta)
        if track >= 0:
            content.setdefault(track, Counter())[particle] += 1
    targets = {p for p, n in size.items() if n >= 3 and kinematics[p][0] > 1.0 and abs(kinematics[p][1]) < 2.5}
    found: dict[str, set[int]] = {style: set() for style in STYLES}
    matched, on_target, num_tracks = Counter[str](), Counter[str](), 0
    for shares in content.values():
        total = sum(shares.values())
        if total < 3:
            continue
        num_tracks += 1
        particle, shared = shares.most_common(1)[0]
        if particle == 0 or 2 * shared <= total:
            continue
        for style in STYLES:
            if style == "double_majority" and 2 * shared <= size[particle]:
                continue
            matched[style] += 1
            if particle in targets:
                on_target[style] += 1
                found[style].add(particle)
    return {
        style: {
            "num_target": len(targets),
            "num_found": len(found[style]),
            "num_tracks": num_tracks,
            "num_matched_tracks": matched[style],
            "num_matched_target_tracks": on_target[style],
        }
        for style in STYLES
    }


def score_by_pandas(hits: pd.DataFrame) -> float:
    """The score by group-bys, unassigned hits left out."""
    size = hits.groupby("particle").size()
    assigned = hits[hits.track >= 0]
    grouped = assigned.groupby(["track", "particle"]).agg(shared=("weight", "size"), weight=("weight", "sum"))
    grouped = grouped.reset_index()
    grouped = grouped.join(assigned.groupby("track").size().rename("n_track"), on="track").join(
        size.rename("n_particle"), on="particle"
    )
    good = (2 * grouped.shared > grouped.n_track) & (2 * grouped.shared > grouped.n_particle)
    return float(grouped.weight[good].sum() / hits.weight.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hits", type=int, default=100_000)
    parser.add_argument("--tracks", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    event = labels, truth, hits = make_event(options.hits, options.tracks)

    expected = by_hitloom(*event)
    for other in (by_pandas, by_loop):
        assert other(*event) == expected, f"{other.__name__} disagrees"
    assert abs(score_by_pandas(hits) - trackml_score(labels, truth).value) < 1e-12

    positions = np.random.default_rng(1).normal(0, 300, (options.hits, 3))
    fit = track_kinematics(positions, labels)

    def all_presets() -> None:
        Evaluator().add(0, labels, truth, kinematics=fit)

    rows = {
        "match: hitloom": lambda: by_hitloom(*event),
        "match: pandas group-by": lambda: by_pandas(*event),
        "match: loop over hits": lambda: by_loop(*event),
        "TrackML score: hitloom": lambda: trackml_score(labels, truth),
        "TrackML score: pandas group-by": lambda: score_by_pandas(hits),
        "all presets, curves, score": all_presets,
        "fit of every track": lambda: track_kinematics(positions, labels),
        "lists for the display": lambda: track_confusion(labels, truth, SELECTION),
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(options.repeats):
        for name, call in rows.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    base = {"match": median["match: hitloom"], "TrackML score": median["TrackML score: hitloom"]}
    print(f"{options.hits} hits, {options.tracks} particles, {options.repeats} repetitions, one thread")
    print(f"python {platform.python_version()}, numpy {np.__version__}, pandas {pd.__version__}, {platform.machine()}")
    print(f"{'':34}{'median ms':>10}{'ratio':>8}")
    for name, seconds in median.items():
        reference = base.get(name.split(":")[0])
        ratio = f"{seconds / reference:8.1f}" if reference else " " * 8
        print(f"{name:34}{1e3 * seconds:10.1f}{ratio}")


if __name__ == "__main__":
    main()
