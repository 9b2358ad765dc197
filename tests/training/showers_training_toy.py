"""A small shower-growing run on toy views, shared by its tests and their second processes."""

from __future__ import annotations

from typing import Any

from hitloom.training.run_config import RunConfig, build_run_config
from hitloom.training.run_data import RunData
from shower_toy import toy_view

SET = {"hidden": 8, "embedding": 8, "num_heads": 2, "num_inducing": 2, "depth": 1}
MERGES_MUCH = {"enabled": True, "warmup_epochs": 0, "threshold": 0.4}


def showers_config(augmentation: dict[str, Any] | None = None, inputs: dict[str, Any] | None = None, **training: Any):
    """Return the configuration of a run; ``augmentation`` and ``inputs`` are sections of the model."""
    model = {
        "inputs": {"added_from_epoch": 0} | (inputs or {}),
        "encoder": SET,
        "attention": SET,
        "similarity": {"hidden": 8},
        "augmentation": augmentation or {},
    }
    settings = {
        "max_epochs": 3, "accelerator": "cpu", "scheduler": "onecycle", "lr": 1e-3, "num_threads": 1,
        "optimizer": "Adam", "weight_decay": 0.0, "monitor": "val_loss", "mode": "min", "gradient_clip": 1.0,
        "gradient_clip_per_group": True,
    }  # fmt: skip
    values = {"system": "showers", "model": model, "training": settings | training, "data": {"batch_size": 2}}
    config: RunConfig = build_run_config(values)
    return config


def showers_data(num_train: int = 5, num_val: int = 3) -> RunData:
    """Return toy views of 4 to 13 clusters."""
    return RunData(
        train=[toy_view(4 + seed, seed) for seed in range(num_train)],
        val=[toy_view(9 + seed, 50 + seed) for seed in range(num_val)],
        fingerprint="toy",
    )
