"""The demonstration of shower growing, step by step; :mod:`hitloom.cli.demo` is its verb.

Layout of the folder: ``events/`` (held-out store) and ``events.root`` (the same as ROOT file), ``training/`` (store and
runs of the training, if any), ``results/`` (groups of each model), ``export/`` (the network as files of its own), and
the evaluation (``metrics.json``, ``plots/``, ``report.html``) at the top.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hitloom.cli.demo_common import SEED_OF_TRAINING, DemoSizes, Say, Steps, clear, train_one

RECIPES = {"showers": "showers-small-iterated", "without_augmentation": "showers-small"}
MODEL = "showers"
SIZES = DemoSizes(num_test=60, num_val=15, scratch_train=100, scratch_epochs=6)  # slices, of three views each
TINY = DemoSizes(
    num_test=2, num_val=3, scratch_train=3, scratch_epochs=1,
    overrides=("model.encoder={embedding: 8, hidden: 8, num_heads: 2, num_inducing: 4, depth: 1}",
               "model.attention={embedding: 8, hidden: 8, num_heads: 2, num_inducing: 4, depth: 1}",
               "model.similarity.hidden=8"),
)  # fmt: skip


def run_shower_demo(folder: Path, *, seed: int, sizes: DemoSizes, from_scratch: bool, say: Say) -> dict[str, Any]:
    """Simulate, train or take the shipped weights, group, iterate, export, evaluate beside rules and ceilings.

    Returns what ``metrics.json`` holds.

    Raises
    ------
    HitloomError
        When ``folder`` holds something that no demo wrote, or a step fails.
    """
    from hitloom.cli.inside import histories_of, inside_of
    from hitloom.report.evaluate import evaluate_results
    from hitloom.report.showers.config import ShowerEvaluationConfig
    from hitloom.report.showers.text import side_by_side_lines
    from hitloom.training.reconstruct import Reconstructor

    clear(folder)
    step, events = Steps(5, say), folder / "events"

    step(f"simulating {sizes.num_test} held-out slices in liquid argon, three wire views each")
    num_views = _simulate(events, sizes.num_test, seed, root=folder / "events.root")
    say(f"  {num_views} views, also as ROOT file {folder / 'events.root'}")

    checkpoints = _checkpoints(folder / "training", seed=seed, sizes=sizes, from_scratch=from_scratch, step=step)

    step("grouping the clusters of every view")
    results = _infer(checkpoints, events, folder / "results", say)

    step("writing the network as files of its own")
    say("  " + _export(checkpoints[MODEL], folder / "export"))

    step("evaluating it beside no merging, rules and ceilings, and against iterations")
    models = {name: Reconstructor(path) for name, path in checkpoints.items()}
    metrics = evaluate_results(
        results[MODEL],
        events=events,
        split="all",
        config=ShowerEvaluationConfig(),
        name=MODEL,
        output=folder,
        baselines={name: path for name, path in results.items() if name != MODEL},
        inside=replace(inside_of(checkpoints[MODEL]), histories=histories_of(models)),
    )
    say("")
    for line in side_by_side_lines(metrics):
        say(line)
    step.end(folder)
    return metrics


def _simulate(path: Path, num_slices: int, seed: int, *, root: Path | None = None) -> int:
    """Simulate a store on all cores, at most eight; return the number of views."""
    from hitloom.simulate.lartpc_config import LArTPCConfig
    from hitloom.simulate.store import simulate_to_store

    processes = max(1, min(os.cpu_count() or 1, 8))
    store = simulate_to_store(
        path, LArTPCConfig(), num_events=num_slices, seed=seed, num_processes=processes, root=root
    )  # fmt: skip
    return len(store)


def _checkpoints(folder: Path, *, seed: int, sizes: DemoSizes, from_scratch: bool, step: Steps) -> dict[str, Path]:
    """Return the weights with iterative augmentation, and those without it: shipped ones, or trained here."""
    from hitloom.training.checkpoint import find_checkpoint, shipped_weights

    shipped = () if from_scratch else shipped_weights()
    if RECIPES[MODEL] in shipped:
        step("training: none, the shipped weights are taken as they are")
        return {name: find_checkpoint(recipe) for name, recipe in RECIPES.items() if recipe in shipped}
    step(f"training from scratch on {sizes.scratch_train} slices, with and without iterative augmentation")
    store = folder / "events"
    num_views = _simulate(store, sizes.scratch_train + sizes.num_val, seed + SEED_OF_TRAINING)
    num_val = num_views * sizes.num_val // (sizes.scratch_train + sizes.num_val)
    shares = replace(sizes, num_val=num_val)
    return {
        name: train_one(recipe, folder / name, store, num_views - num_val, shares, fine_tune=False)
        for name, recipe in RECIPES.items()
    }


def _infer(checkpoints: dict[str, Path], events: Path, folder: Path, say: Say) -> dict[str, Path]:
    from hitloom.training.infer import infer

    for name, checkpoint in checkpoints.items():
        report = infer(checkpoint, events, output=folder / name, splits=["all"], save_edges=True)
        say(f"  {name}: {report.lines()[-1]}")
    return {name: folder / name for name in checkpoints}


def _export(checkpoint: Path, folder: Path) -> str:
    """Write the network as TorchScript and return what the comparison with it found."""
    from hitloom.export import export
    from hitloom.training.checkpoint import load_checkpoint

    path = folder / f"{RECIPES[MODEL]}.pt"
    report = export(load_checkpoint(checkpoint).build_system(), path, to="torchscript")
    worst = max(check["max_difference"] for check in report["parity"])
    return f"{path}: {len(report['parity'])} sizes that were never traced, largest difference {worst:.1g}"
