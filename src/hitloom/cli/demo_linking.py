"""The demonstration of trackster linking, step by step; :mod:`hitloom.cli.demo` is its verb.

Layout of the folder: ``events/`` (held-out store), ``training/`` (store and run of the training, if any), ``results/``
(the network), ``baselines/`` (linkings by rules), ``export/`` (the network as a file of its own), and the evaluation
(``metrics.json``, ``plots/``, ``report.html``) at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hitloom.cli.demo_common import (
    SEED_OF_TRAINING,
    DemoSizes,
    Say,
    Steps,
    clear,
    run_baselines,
    simulate,
    train_one,
)

RECIPE = "linking-small"
BASELINES = ("merge_all", "merge_none", "distance", "skeleton")
SIZES = DemoSizes(num_test=40, num_val=20, scratch_train=160, scratch_epochs=20)


def run_linking_demo(
    folder: Path, *, seed: int, pileup: float, sizes: DemoSizes, from_scratch: bool, say: Say
) -> dict[str, Any]:
    """Simulate, train or take the shipped weights, link, run the baselines, evaluate, export.

    Returns what ``metrics.json`` holds.

    Raises
    ------
    HitloomError
        When ``folder`` holds something that no demo wrote, or a step fails.
    """
    from hitloom.cli.inside import inside_of
    from hitloom.report.evaluate import evaluate_results
    from hitloom.report.tracksters.text import side_by_side_lines
    from hitloom.simulate.calorimeter_config import CalorimeterConfig
    from hitloom.training.checkpoint import find_checkpoint, shipped_weights
    from hitloom.training.infer import infer

    clear(folder)
    shipped = not from_scratch and RECIPE in shipped_weights()
    step, detector = Steps(6, say), CalorimeterConfig(pileup=pileup)

    step(f"simulating {sizes.num_test} held-out events: 10 pions in each endcap, pile-up {pileup:g}, toy showers")
    events = folder / "events"
    simulate(events, detector, num_events=sizes.num_test, seed=seed)

    if shipped:
        step(f"training: none, the shipped weights '{RECIPE}' are taken as they are")
        checkpoint = find_checkpoint(RECIPE)
    else:
        step(f"training '{RECIPE}' from scratch on {sizes.scratch_train} events")
        store = folder / "training" / "events"
        num_events = sizes.scratch_train + sizes.num_val
        simulate(store, detector, num_events=num_events, seed=seed + SEED_OF_TRAINING)
        checkpoint = train_one(RECIPE, folder / "training" / "run", store, sizes.scratch_train, sizes, fine_tune=False)

    step("scoring the candidate edges of the held-out events and linking their tracksters")
    report = infer(checkpoint, events, output=folder / "results", splits=["all"])
    for line in report.lines():
        say("  " + line)

    step("linking them by rules: all candidates, none, a cut on the distance, skeletons")
    baselines = run_baselines(folder / "baselines", events, BASELINES)

    step("writing the network as a file of its own, and comparing the two")
    say("  " + _export(checkpoint, folder / "export" / f"{RECIPE}.pt"))

    step("evaluating all of them with the same code")
    metrics = evaluate_results(
        folder / "results",
        events=events,
        split="all",
        name="network",
        output=folder,
        baselines=baselines,
        inside=inside_of(checkpoint),
    )
    say("")
    for line in side_by_side_lines(metrics):
        say(line)
    step.end(folder)
    return metrics


def _export(checkpoint: Path, path: Path) -> str:
    """Write the network as TorchScript and return what the comparison with it found."""
    from hitloom.export import export
    from hitloom.training.checkpoint import load_checkpoint

    report = export(load_checkpoint(checkpoint).build_system(), path, to="torchscript")
    worst = max(check["max_difference"] for check in report["parity"])
    return f"{path}: {len(report['parity'])} sizes that were never traced, largest difference {worst:.1g}"
