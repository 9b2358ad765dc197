"""The demonstration of graph pruning, step by step; :mod:`hitloom.cli.demo` is its verb.

Layout of the folder: ``events/`` (held-out tracksters), ``training/`` (store and a run for each mode, if any),
``results/`` (a folder for each mode), ``baselines/`` (rules), ``export/`` (networks as files of their own),
``pruned.root`` (the tracksters after pruning), and the evaluation (``metrics.json``, ``plots/``, ``report.html``) at
the top.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hitloom.cli.demo_common import SEED_OF_TRAINING, DemoSizes, Say, Steps, clear, run_baselines, train_one

RECIPES = {
    "autoregressive": "pruning-small-autoregressive",
    "tree": "pruning-small-tree",
    "multistep": "pruning-small-multistep",
    "one_pass": "pruning-small-onepass",
    "nodes": "pruning-small-nodes",
}
MODES = tuple(RECIPES)
BASELINES = ("keep_all", "energy_distance", "tight_clue3d")
EXPORTED = ("multistep", "tree")
SAMPLED = 100  # tracksters for which configurations are drawn: the autoregressive mode takes its time
SIZES = DemoSizes(num_test=115, scratch_train=300, scratch_epochs=5)  # collisions, of some 13 tracksters each
TINY = DemoSizes(num_test=2, scratch_train=3, scratch_epochs=1, overrides=("model.hidden=16",))


def run_pruning_demo(
    folder: Path, *, seed: int, main: str, sizes: DemoSizes, from_scratch: bool, say: Say
) -> dict[str, Any]:
    """Simulate, train or take the shipped weights of every mode, prune, run the baselines, export, evaluate.

    ``main`` is the mode that the report is about; the others stand beside it. Returns what ``metrics.json`` holds.

    Raises
    ------
    HitloomError
        When ``folder`` holds something that no demo wrote, or a step fails.
    """
    from hitloom.cli.inside import inside_of
    from hitloom.errors import ConfigError, nearest
    from hitloom.report.evaluate import evaluate_results
    from hitloom.report.pruning.config import PruningEvaluationConfig
    from hitloom.report.pruning.text import side_by_side_lines

    if main not in MODES:
        raise ConfigError(f"--mode: unknown mode '{main}'.{nearest(main, MODES)}")
    clear(folder)
    step, events = Steps(6, say), folder / "events"

    step(f"simulating {sizes.num_test} held-out collisions: showers beside each other and soft ones, toy shapes")
    _simulate(events, sizes.num_test, seed)

    checkpoints = _checkpoints(folder / "training", seed=seed, sizes=sizes, from_scratch=from_scratch, step=step)

    step("deciding which layer clusters leave their trackster: every mode on the same tracksters")
    results = _infer(checkpoints, events, folder / "results", say)

    step("pruning by rules: keep all, cuts on distance and energy, CLUE3D with a tighter distance")
    baselines = run_baselines(folder / "baselines", events, BASELINES)

    step("writing networks as files of their own, and the pruned tracksters as ROOT file")
    for mode in EXPORTED:
        say("  " + _export(checkpoints[mode], folder / "export" / f"{RECIPES[mode]}.onnx"))
    say("  " + _write_pruned(events, results[main], folder / "pruned.root"))

    step("evaluating all of them with the same code")
    metrics = evaluate_results(
        results[main],
        events=events,
        split="all",
        config=PruningEvaluationConfig(num_sample_tracksters=SAMPLED),
        name=main,
        output=folder,
        baselines={mode: path for mode, path in results.items() if mode != main} | baselines,
        inside=inside_of(checkpoints[main]),
    )
    say("")
    for line in side_by_side_lines(metrics):
        say(line)
    step.end(folder)
    return metrics


def _simulate(path: Path, num_collisions: int, seed: int) -> int:
    """Simulate a store on all cores, at most eight; return the number of tracksters."""
    from hitloom.simulate.close_showers_config import CloseShowersConfig
    from hitloom.simulate.store import simulate_to_store

    processes = max(1, min(os.cpu_count() or 1, 8))
    store = simulate_to_store(path, CloseShowersConfig(), num_events=num_collisions, seed=seed, num_processes=processes)
    return len(store)


def _checkpoints(folder: Path, *, seed: int, sizes: DemoSizes, from_scratch: bool, step: Steps) -> dict[str, Path]:
    """Return the weights of every mode: those that ship, and trained here those that do not."""
    from hitloom.training.checkpoint import find_checkpoint, shipped_weights

    there = () if from_scratch else shipped_weights()
    new = [mode for mode, recipe in RECIPES.items() if recipe not in there]
    if not new:
        step("training: none, the shipped weights of every mode are taken as they are")
        return {mode: find_checkpoint(recipe) for mode, recipe in RECIPES.items()}
    step(f"training from scratch on {sizes.scratch_train} collisions: {', '.join(new)}")
    store = folder / "events"
    num_events = _simulate(store, sizes.scratch_train, seed + SEED_OF_TRAINING)
    shares = replace(sizes, num_val=max(1, num_events // 6))
    num_train = num_events - shares.num_val
    return {
        mode: train_one(recipe, folder / mode, store, num_train, shares, fine_tune=False)
        if mode in new
        else find_checkpoint(recipe)
        for mode, recipe in RECIPES.items()
    }


def _infer(checkpoints: dict[str, Path], events: Path, folder: Path, say: Say) -> dict[str, Path]:
    from hitloom.training.infer import infer

    for mode, checkpoint in checkpoints.items():
        report = infer(checkpoint, events, output=folder / mode, splits=["all"])
        say(f"  {mode}: {report.lines()[-1]}")
    return {mode: folder / mode for mode in checkpoints}


def _export(checkpoint: Path, path: Path) -> str:
    """Write a network as ONNX and return what the comparison with it found."""
    from hitloom.export import export
    from hitloom.training.checkpoint import load_checkpoint

    report = export(load_checkpoint(checkpoint).build_system(), path, to="onnx")
    worst = max(check["max_difference"] for check in report["parity"])
    return f"{path}: {len(report['parity'])} sizes that were never traced, largest difference {worst:.1g}"


def _write_pruned(events: Path, results: Path, path: Path) -> str:
    from hitloom.data.pruning_decisions import write_pruned
    from hitloom.data.results import open_results
    from hitloom.data.store import EventStore

    number = write_pruned(iter(EventStore(events)), iter(open_results(results, "all")), path)
    return f"{path}: {number} tracksters with the layer clusters that were kept"
