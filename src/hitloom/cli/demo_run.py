"""The demonstration of EggNet, step by step; :mod:`hitloom.cli.demo` is its verb.

Layout of the folder: ``events/`` (held-out store), ``training/`` (store and run of the training, if any), ``results/``
(this network), ``baselines/`` (classical finders), and the evaluation (``metrics.json``, ``plots/``, ``report.html``)
at the top.
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

RECIPE = "eggnet-small"
BASELINES = ("ckf", "helix_dbscan")


def run_eggnet_demo(
    folder: Path, *, seed: int, pileup: float, sizes: DemoSizes, from_scratch: bool, say: Say
) -> dict[str, Any]:
    """Simulate, train, reconstruct, run the baselines, evaluate; return what ``metrics.json`` holds.

    Raises
    ------
    HitloomError
        When ``folder`` holds something that no demo wrote, or a step fails.
    """
    from hitloom.report.summary_text import summary_lines
    from hitloom.simulate.tracker_config import TrackerConfig
    from hitloom.training.checkpoint import shipped_weights
    from hitloom.training.infer import infer

    clear(folder)
    fine_tune = not from_scratch and RECIPE in shipped_weights()
    step, detector = Steps(5, say), TrackerConfig(pileup=pileup)

    step(f"simulating {sizes.num_test} held-out events: Pythia 8 ttbar at 13 TeV, pile-up {pileup:g}, all pt, noise on")
    events = folder / "events"
    simulate(events, detector, num_events=sizes.num_test, seed=seed)

    num_train = sizes.num_train if fine_tune else sizes.scratch_train
    if fine_tune:
        step(f"training: fine-tuning the shipped weights '{RECIPE}' on {num_train} fresh events")
    else:
        step(f"training '{RECIPE}' from scratch on {num_train} events")
    store = folder / "training" / "events"
    simulate(store, detector, num_events=num_train + sizes.num_val, seed=seed + SEED_OF_TRAINING)
    checkpoint = train_one(RECIPE, folder / "training" / "run", store, num_train, sizes, fine_tune=fine_tune)

    step("reconstructing the held-out events")
    report = infer(checkpoint, events, output=folder / "results", splits=["all"])
    for line in report.lines():
        say("  " + line)

    step("running the classical baselines: ACTS seeding + CKF, and DBSCAN on helix coordinates")
    baselines = run_baselines(folder / "baselines", events, BASELINES)

    step("evaluating all of them with the same code")
    metrics = _evaluate(folder, events, checkpoint, baselines)
    say("")
    for line in summary_lines(metrics):
        say(line)
    step.end(folder)
    return metrics


def _evaluate(folder: Path, events: Path, checkpoint: Path, baselines: dict[str, Path]) -> dict[str, Any]:
    from hitloom.report.config import EvaluationConfig
    from hitloom.report.evaluate import evaluate_results
    from hitloom.training.reconstruct import Reconstructor
    from hitloom.training.run_config import load_recipe

    return evaluate_results(
        folder / "results",
        events=events,
        split="all",
        config=EvaluationConfig(eps_grid=load_recipe(RECIPE).evaluation.eps_grid),
        output=folder,
        baselines=baselines,
        graphs=Reconstructor(checkpoint).graphs,
    )
