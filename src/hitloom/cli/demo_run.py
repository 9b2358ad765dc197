"""The demonstration of EggNet, step by step; :mod:`hitloom.cli.demo` is its verb.

Layout of the folder: ``events/`` (held-out store), ``training/`` (store and run of the training, if any), ``results/``
(this network), ``baselines/`` (classical finders), and the evaluation (``metrics.json``, ``plots/``, ``report.html``)
at the top.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hitloom.errors import HitloomError

RECIPE = "eggnet-small"
SEED_OF_TRAINING = 1_000_003  # added to the demo's seed: training events share none with the held-out ones
MARKER = "hitloom-demo.txt"


@dataclass(frozen=True, kw_only=True)
class DemoSizes:
    """Numbers of events and epochs. ``overrides`` shrink the network when it starts from scratch."""

    num_test: int = 24
    num_train: int = 40
    num_val: int = 6
    max_epochs: int = 2
    lr: float = 1e-4
    scratch_train: int = 300
    scratch_epochs: int = 6
    overrides: tuple[str, ...] = ()

    @staticmethod
    def tiny() -> DemoSizes:
        """Return the sizes that show only that everything runs."""
        return DemoSizes(num_test=3, num_train=4, num_val=2, max_epochs=1, scratch_train=6, scratch_epochs=1)


def run_eggnet_demo(
    folder: Path,
    *,
    seed: int,
    pileup: float,
    sizes: DemoSizes,
    from_scratch: bool,
    say: Callable[[str], Any],
) -> dict[str, Any]:
    """Simulate, train, reconstruct, run the baselines, evaluate; return what ``metrics.json`` holds.

    Raises
    ------
    HitloomError
        When ``folder`` holds something that no demo wrote, or a step fails.
    """
    import os

    from hitloom.training.checkpoint import shipped_weights

    begin = time.perf_counter()
    clear(folder)
    num_processes = max(1, min(os.cpu_count() or 1, 8))
    fine_tune = not from_scratch and RECIPE in shipped_weights()
    step = Steps(5, say, begin)

    step(f"simulating {sizes.num_test} held-out events: Pythia 8 ttbar at 13 TeV, pile-up {pileup:g}, all pt, noise on")
    events = folder / "events"
    simulate(events, num_events=sizes.num_test, seed=seed, pileup=pileup, num_processes=num_processes)

    num_train = sizes.num_train if fine_tune else sizes.scratch_train
    if fine_tune:
        step(f"training: fine-tuning the shipped weights '{RECIPE}' on {num_train} fresh events")
    else:
        step(f"training '{RECIPE}' from scratch on {num_train} events")
    store = folder / "training" / "events"
    simulate(
        store, num_events=num_train + sizes.num_val, seed=seed + SEED_OF_TRAINING, pileup=pileup,
        num_processes=num_processes,
    )  # fmt: skip
    checkpoint = _train(folder / "training" / "run", store, num_train, sizes, fine_tune=fine_tune)

    step("reconstructing the held-out events")
    from hitloom.training.infer import infer

    report = infer(checkpoint, events, output=folder / "results", splits=["all"])
    for line in report.lines():
        say("  " + line)

    step("running the classical baselines: ACTS seeding + CKF, and DBSCAN on helix coordinates")
    run_baselines(folder / "baselines", events)

    step("evaluating all of them with the same code")
    metrics = _evaluate(folder, events, checkpoint)
    say("")
    from hitloom.report.summary_text import summary_lines

    for line in summary_lines(metrics):
        say(line)
    say(f"\nreport: {folder / 'report.html'}  (opens offline; {time.perf_counter() - begin:.0f} s in all)")
    return metrics


class Steps:
    """Says the number, the time and the name of each step."""

    def __init__(self, total: int, say: Callable[[str], Any], begin: float) -> None:
        self.total, self.say, self.begin, self.done = total, say, begin, 0

    def __call__(self, text: str) -> None:
        self.done += 1
        self.say(f"[{self.done}/{self.total}] {time.perf_counter() - self.begin:4.0f} s  {text}")


def clear(folder: Path) -> None:
    """Make ``folder`` empty; refuse when it holds something that no demo wrote."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise HitloomError(f"{folder}: holds files that no demo wrote; mend: another --output")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).write_text("Written by 'hitloom demo'; the next demo replaces this folder.\n")


def simulate(path: Path, *, num_events: int, seed: int, pileup: float, num_processes: int) -> None:
    from hitloom.simulate.store import simulate_to_store
    from hitloom.simulate.tracker import TrackerConfig

    simulate_to_store(path, TrackerConfig(pileup=pileup), num_events=num_events, seed=seed, num_processes=num_processes)


def _train(folder: Path, store: Path, num_train: int, sizes: DemoSizes, *, fine_tune: bool) -> Path:
    from hitloom.training.checkpoint import find_checkpoint, load_checkpoint
    from hitloom.training.run_config import load_recipe
    from hitloom.training.run_data import open_data
    from hitloom.training.train import train

    epochs = sizes.max_epochs if fine_tune else sizes.scratch_epochs
    overrides = [
        f"data.store={store}",
        f"data.split=[{num_train}, {sizes.num_val}, 0]",
        f"training.max_epochs={epochs}",
        f"training.patience={epochs}",
        "training.warmup_epochs=0",
        *sizes.overrides,
    ]
    if fine_tune:
        overrides.append(f"training.lr={sizes.lr}")
    config = load_recipe(RECIPE, overrides)
    init = load_checkpoint(find_checkpoint(RECIPE)) if fine_tune else None
    outcome = train(config, output=folder, data=open_data(config.data), init=init)
    chosen = outcome.best or outcome.last
    assert chosen is not None
    return chosen


def run_baselines(folder: Path, events: Path) -> None:
    """Write the results of each classical finder as a results folder of its own."""
    from hitloom.cli.compare_run import run_baseline
    from hitloom.data.store import EventStore

    store = EventStore(events)
    for name in ("ckf", "helix_dbscan"):
        run_baseline(name.replace("_", "-"), store, range(len(store)), folder / name, split="all")


def _evaluate(folder: Path, events: Path, checkpoint: Path) -> dict[str, Any]:
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
        baselines={name: folder / "baselines" / name for name in ("ckf", "helix_dbscan")},
        graphs=Reconstructor(checkpoint).graphs,
    )
