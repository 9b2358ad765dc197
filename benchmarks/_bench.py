"""What the benchmarks share: interleaved runs, medians, markdown tables, embeddings made to measure.

Contestants take turns, so that a busy machine slows all of them alike; a slow one drops out of further rounds once
its time budget is spent. Read ratios, not seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch


@dataclass
class Contest:
    """Contestants for one task. ``wall`` and ``cpu`` hold the seconds of each run."""

    rounds: int = 5
    budget: float = 30.0
    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    def run(self, contestants: dict[str, Callable[[], Any]], *, warm_up: Callable[[], Any] | None = None) -> None:
        """Run everyone ``rounds`` times in turn, at least once; ``warm_up`` runs before and is not timed."""
        if warm_up is not None:
            warm_up()
        for name in contestants:
            self.wall[name], self.cpu[name] = [], []
        for _ in range(self.rounds):
            for name, call in contestants.items():
                if self.wall[name] and sum(self.wall[name]) + max(self.wall[name]) > self.budget:
                    continue
                wall, cpu = time.perf_counter(), time.process_time()
                self.result[name] = call()
                self.wall[name].append(time.perf_counter() - wall)
                self.cpu[name].append(time.process_time() - cpu)

    def median(self, name: str, clock: str) -> float:
        """Median seconds of a contestant by the ``clock`` ('wall' or 'cpu')."""
        return statistics.median((self.cpu if clock == "cpu" else self.wall)[name])


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Print a markdown table."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    print(flush=True)


def embedding(
    num: int, dim: int, *, intrinsic: int | None, spread: float = 0.02, size: int = 10, seed: int = 0
) -> torch.Tensor:
    """Unit vectors (num, dim) in clusters of ``size``, in random order, as a trained embedding of hits would be.

    The centres lie on a smooth surface of dimension ``intrinsic`` (a random two-layer network of that many uniform
    inputs: a track has about five parameters), or, with None, anywhere on the sphere; ``spread`` is the distance of a
    point from its centre.
    """
    generator = torch.Generator().manual_seed(seed)
    if intrinsic is None:
        centres = torch.randn(-(-num // size), dim, generator=generator)
    else:
        inputs = torch.rand(-(-num // size), intrinsic, generator=generator) * 2 - 1
        hidden = inputs @ torch.randn(intrinsic, 64, generator=generator) + torch.randn(64, generator=generator)
        centres = torch.tanh(hidden) @ torch.randn(64, dim, generator=generator)
    x = torch.nn.functional.normalize(centres, dim=1).repeat_interleave(size, 0)[:num]
    x = x + spread * torch.randn(x.shape, generator=generator) / dim**0.5
    return torch.nn.functional.normalize(x[torch.randperm(num, generator=generator)], dim=1)


def gemm_rate() -> float:
    """Floating point operations per second of a large float32 matrix product with torch's threads: the best of five."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = min(_seconds(lambda: a @ b) for _ in range(5))
    return 2 * 1024**3 / best


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--quick", action="store_true", help="small sizes, one round: does it run?")
    options.add_argument("--points", type=int, nargs="+", help="numbers of points")
    options.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads for everyone")
    options.add_argument("--rounds", type=int, default=5, help="runs of each contestant, in turn")
    options.add_argument("--budget", type=float, default=30.0, help="seconds after which a contestant is not run again")
    options.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="seconds on the wall, or of all processors: the latter holds on a shared machine",
    )
    options.add_argument("--embedding", help="a .npy file (N, D) to measure on too")
    return options


def set_threads(num: int) -> None:
    """Give torch, faiss and our own searches ``num`` threads; scipy and scikit-learn are told at the call."""
    torch.set_num_threads(num)
    try:
        import faiss

        faiss.omp_set_num_threads(num)
    except ImportError:
        pass


def load_embedding(path: str) -> torch.Tensor:
    """Read a float32 embedding (N, D) from a .npy file."""
    return torch.from_numpy(np.load(path).astype(np.float32))
