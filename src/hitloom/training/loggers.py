"""Loggers beside ``metrics.csv``: tensorboard and wandb, each with the settings of the run as hyper-parameters."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hitloom.training.run_config import RunConfig

HP_METRIC = "hp_metric"
Value = bool | int | float | str


def make_loggers(config: RunConfig, folder: Path) -> list[Any]:
    """Return the loggers of ``training.log``; both write below the run folder, wandb offline unless told otherwise.

    Raises
    ------
    MissingDependencyError
        When the package of one is not installed.
    """
    from hitloom.errors import require_extra

    loggers: list[Any] = []
    if "tensorboard" in config.training.log:
        require_extra("tensorboard", "log")
        from lightning.pytorch.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(str(folder), name="", version="tensorboard", default_hp_metric=False))
    if "wandb" in config.training.log:
        require_extra("wandb", "log")
        from lightning.pytorch.loggers import WandbLogger

        offline = os.environ.get("WANDB_MODE", "offline") != "online"
        loggers.append(
            WandbLogger(name=folder.name, project=config.training.project, save_dir=str(folder), offline=offline)
        )
    return loggers


def log_settings(loggers: Sequence[Any], config: RunConfig) -> None:
    """Tell the loggers every setting of the run, so that runs can be compared by them."""
    settings = flat_settings(config)
    for logger in loggers:
        if type(logger).__name__ == "TensorBoardLogger":
            logger.log_hyperparams(settings, {HP_METRIC: math.nan})  # the metric must be named with the settings
        else:
            logger.log_hyperparams(settings)


def log_epoch(loggers: Sequence[Any], row: Mapping[str, Any], *, step: int, best: float | None) -> None:
    """Log the values of an epoch, and as ``hp_metric`` the best monitored value so far."""
    values = dict(row) if best is None else {**row, HP_METRIC: best}
    for logger in loggers:
        logger.log_metrics(values, step=step)


def flat_settings(config: RunConfig) -> dict[str, Value]:
    """Return every setting of a run by its dotted name; what is no number is written as text."""
    found: dict[str, Value] = {}

    def walk(name: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for key, item in value.items():
                walk(f"{name}.{key}" if name else str(key), item)
        else:
            found[name] = value if isinstance(value, bool | int | float | str) else str(value)

    walk("", config.model_dump())
    return found
