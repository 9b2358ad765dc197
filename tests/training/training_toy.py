"""Helpers shared by the training tests: the tiny system registered, a short configuration, events in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny_system import tiny_event

from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.progress import Progress
from hitloom.training.run_config import RunConfig, build_run_config
from hitloom.training.run_data import RunData


def tiny_config(**training: Any) -> RunConfig:
    settings = {"max_epochs": 3, "accelerator": "cpu", "warmup_epochs": 2, "lr": 1e-2, "num_threads": 1} | training
    return build_run_config({"system": "tiny", "training": settings})


def tiny_data(num_train: int = 7, num_val: int = 2) -> RunData:
    return RunData(
        train=[tiny_event(i) for i in range(num_train)],
        val=[tiny_event(100 + i) for i in range(num_val)],
        fingerprint="tiny",
    )


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).weights


def assert_same_weights(first: Path, second: Path) -> None:
    a, b = weights_of(first), weights_of(second)
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def quiet(num_epochs: int = 3) -> Progress:
    """Progress without a bar, whatever the terminal."""
    return Progress(num_epochs=num_epochs)
