"""The demonstration of the staged pipeline, step by step; :mod:`hitloom.cli.demo` is its verb.

Layout of the folder: ``events/`` (held-out store), ``training/`` (store and staged run), ``results/NAME/`` (every
method on the same events), and the evaluation (``metrics.json``, ``plots/``, ``report.html``) at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hitloom.cli.demo_common import SEED_OF_TRAINING, DemoSizes, Say, Steps, clear, simulate

RECIPE = "exatrkx-small"
EGGNET = "eggnet-small"


def run_exatrkx_demo(
    folder: Path, *, seed: int, pileup: float, sizes: DemoSizes, from_scratch: bool, say: Say
) -> dict[str, Any]:
    """Simulate, train the stages, reconstruct, run the others, evaluate; return what ``metrics.json`` holds.

    Raises
    ------
    HitloomError
        When ``folder`` holds something that no demo wrote, or a step fails.
    """
    from hitloom.cli.compare_run import compare, parse_methods
    from hitloom.report.side_by_side import side_by_side_lines
    from hitloom.simulate.tracker_config import TrackerConfig
    from hitloom.training.checkpoint import shipped_weights

    clear(folder)
    fine_tune = not from_scratch and RECIPE in shipped_weights()
    num_train = sizes.num_train if fine_tune else sizes.scratch_train
    step, detector = Steps(3, say), TrackerConfig(pileup=pileup)

    step(f"simulating {sizes.num_test} held-out events: Pythia 8 ttbar at 13 TeV, pile-up {pileup:g}, all pt, noise on")
    events = folder / "events"
    simulate(events, detector, num_events=sizes.num_test, seed=seed)

    how = f"starting from the shipped weights '{RECIPE}'" if fine_tune else "from scratch"
    step(f"training embedding, filter and graph network one after another on {num_train} events, {how}")
    store = folder / "training" / "events"
    simulate(store, detector, num_events=num_train + sizes.num_val, seed=seed + SEED_OF_TRAINING)
    chain = _train(folder / "training" / "run", store, num_train, sizes, fine_tune=fine_tune, say=say)

    step("on the same held-out events: this chain, EggNet (shipped weights), ACTS seeding + CKF, DBSCAN on helices")
    methods = parse_methods([f"exatrkx={chain}", f"eggnet={EGGNET}", "ckf", "helix_dbscan"])
    metrics = compare(events, methods, output=folder, main="exatrkx", config=lambda recorded, wanted: wanted())
    say("")
    for line in side_by_side_lines(metrics):
        say(line)
    for line in budget_lines(metrics["loss_budget"]):
        say(line)
    step.end(folder)
    return metrics


def budget_lines(budget: dict[str, Any]) -> list[str]:
    """Return the loss budget as lines of text: what every stage leaves findable."""
    lines = ["", "loss budget (particles of the headline that can still be found after each stage):"]
    for stage in budget["stages"]:
        left = stage["cumulative"]
        share = "-" if left["value"] is None else f"{100 * left['value']:.2f} %"
        counts = f"({left['numerator']:,} of {left['denominator']:,})"
        lines.append(f"  {stage['name']:<14} {share:>9}  {counts}, lost here {stage['lost_here']}")
    return lines


def _train(folder: Path, store: Path, num_train: int, sizes: DemoSizes, *, fine_tune: bool, say: Say) -> Path:
    from hitloom.training.checkpoint import find_checkpoint, load_checkpoint
    from hitloom.training.run_config import load_recipe
    from hitloom.training.stages import train_stages

    epochs = sizes.max_epochs if fine_tune else sizes.scratch_epochs
    short: dict[str, Any] = {"max_epochs": epochs, "patience": epochs}
    if fine_tune:
        short |= {"lr": sizes.lr}
    recipe = load_recipe(RECIPE)
    stages = {name: values | short for name, values in recipe.stages.items()}
    data = recipe.data.model_copy(update={"store": str(store), "split": (num_train, sizes.num_val, 0)})
    training = recipe.training.model_copy(update={"warmup_epochs": 0})
    config = recipe.model_copy(update={"stages": stages, "data": data, "training": training})
    init = load_checkpoint(find_checkpoint(RECIPE)) if fine_tune else None
    chain = train_stages(config, output=folder, init=init)
    assert chain is not None
    for name in recipe.stages:
        say(f"  stage {name}: {folder / name}")
    return chain
