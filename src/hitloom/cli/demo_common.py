"""What the demonstrations share: their folder, their sizes, saying where they are, simulating, training one network."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitloom.errors import HitloomError

if TYPE_CHECKING:
    from hitloom.simulate.calorimeter_config import CalorimeterConfig
    from hitloom.simulate.tracker_config import TrackerConfig

SEED_OF_TRAINING = 1_000_003  # added to the demo's seed: training events share none with the held-out ones
MARKER = "hitloom-demo.txt"
Say = Callable[[str], Any]


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


class Steps:
    """Says the number, the time and the name of each step."""

    def __init__(self, total: int, say: Say) -> None:
        self.total, self.say, self.begin, self.done = total, say, time.perf_counter(), 0

    def __call__(self, text: str) -> None:
        self.done += 1
        self.say(f"[{self.done}/{self.total}] {self.seconds():4.0f} s  {text}")

    def seconds(self) -> float:
        """Return the seconds since the first step."""
        return time.perf_counter() - self.begin

    def end(self, folder: Path) -> None:
        """Say where the report is."""
        self.say(f"\nreport: {folder / 'report.html'}  (opens offline; {self.seconds():.0f} s in all)")


def clear(folder: Path) -> None:
    """Make ``folder`` empty; refuse when it holds something that no demo wrote."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise HitloomError(f"{folder}: holds files that no demo wrote; mend: another --output")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).write_text("Written by 'hitloom demo'; the next demo replaces this folder.\n")


def simulate(path: Path, config: TrackerConfig | CalorimeterConfig, *, num_events: int, seed: int) -> None:
    """Simulate a store of events on all cores, at most eight."""
    from hitloom.simulate.store import simulate_to_store

    num_processes = max(1, min(os.cpu_count() or 1, 8))
    simulate_to_store(path, config, num_events=num_events, seed=seed, num_processes=num_processes)


def train_one(recipe: str, folder: Path, store: Path, num_train: int, sizes: DemoSizes, *, fine_tune: bool) -> Path:
    """Train the network of a recipe, from its shipped weights where ``fine_tune``; return the chosen checkpoint."""
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
    config = load_recipe(recipe, overrides)
    init = load_checkpoint(find_checkpoint(recipe)) if fine_tune else None
    outcome = train(config, output=folder, data=open_data(config.data), init=init)
    chosen = outcome.best or outcome.last
    assert chosen is not None
    return chosen


def run_baselines(folder: Path, events: Path, names: Sequence[str]) -> dict[str, Path]:
    """Write the results of each classical method as a folder of its own; return name -> folder."""
    from hitloom.cli.compare_run import run_baseline
    from hitloom.data.store import EventStore

    store = EventStore(events)
    for name in names:
        run_baseline(name.replace("_", "-"), store, range(len(store)), folder / name, split="all")
    return {name: folder / name for name in names}
