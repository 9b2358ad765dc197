"""Train a system: run folder, start or resume, Lightning's Trainer used as a library."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from hitloom.errors import CheckpointError, ConfigError
from hitloom.registry import get_system
from hitloom.training.batches import EpochLoader, portions
from hitloom.training.checkpoint import Checkpoint, load_weights
from hitloom.training.hardware import check_devices, choose_device, choose_precision, set_threads
from hitloom.training.keeper import Keeper
from hitloom.training.loggers import make_loggers
from hitloom.training.module import Task
from hitloom.training.progress import Bar, Progress, Silent
from hitloom.training.run_config import RunConfig
from hitloom.training.run_data import RunData, sizes_of
from hitloom.training.stop import StopSignals
from hitloom.training.working_point import settle_working_point

log = logging.getLogger("hitloom")


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """What a finished run left.

    Attributes
    ----------
    folder : Path
    best, last : Path or None
        Checkpoints; None when no epoch was monitored or run.
    best_value : float or None
        Monitored value of ``best``.
    metrics : dict
        Values of the last epoch.
    seconds : float
    rank : int
        Device that this process drove; 0 is the one that writes.
    """

    folder: Path
    best: Path | None
    last: Path | None
    best_value: float | None
    metrics: dict[str, float]
    seconds: float
    rank: int = 0


def train(
    config: RunConfig,
    *,
    output: str | Path,
    data: RunData,
    resume: Checkpoint | None = None,
    init: Checkpoint | None = None,
    progress: Progress | None = None,
) -> TrainOutcome:
    """Train ``config.system`` on ``data`` and leave everything in the folder ``output``.

    Parameters
    ----------
    config : RunConfig
    output : path
        Run folder: ``config.yaml``, ``metrics.csv``, ``checkpoints/{best,last}.ckpt``.
    data : RunData
    resume : Checkpoint or None
        Continue weights, optimiser, schedule and position from here.
    init : Checkpoint or None
        Start a new run from these weights only.
    progress : Progress or None
        None: a bar on a terminal, log lines elsewhere.

    Raises
    ------
    ConfigError, CheckpointError, DataError
        One line; nothing has been written then.
    StopRequested
        After a signal, with the state saved.
    """
    folder, settings = Path(output), config.training
    begin = time.perf_counter()
    device = choose_device(settings.accelerator)
    check_devices(device, settings.devices)
    kind = get_system(config.system)
    num_threads = set_threads(settings.num_threads, best=kind.num_threads if device.type == "cpu" else None)
    precision = choose_precision(settings.precision, device)
    torch.manual_seed(settings.seed)
    system = kind(config.model)
    for events in (data.train, data.val):
        if len(events):
            system.needs.check(events[0], training=True)
    if not len(data.train):
        raise ConfigError("data: no training event; mend: data.split")
    if not len(data.val) and settings.monitor.startswith("val_"):
        raise ConfigError(
            f"training.monitor is '{settings.monitor}' and there is no validation event; "
            "mend: data.split, or training.monitor=train_loss training.mode=min"
        )
    start = resume or init
    if start is not None:
        load_weights(system, start, strict=start is resume or settings.init_strict)
    if resume is None and hasattr(system, "fit_inputs"):
        system.fit_inputs(portions(data.train, config.data.batch_size) if kind.batches_inference else data.train)
    if resume is not None and not resume.training:
        raise CheckpointError(
            f"{resume.path}: holds weights only and cannot be resumed; start from it with --init-from"
        )

    if settings.accumulate > 1 and hasattr(system, "max_tier") and any(map(system.max_tier, _epoch_numbers(config))):
        raise ConfigError("training.accumulate: no more than 1 together with merged batches; mend: a larger batch_size")

    _quiet_lightning()
    main = getattr(rank_zero_only, "rank", 0) == 0
    if progress is None:
        shown = Silent if not main else Bar if sys.stderr.isatty() else Progress
        progress = shown(num_epochs=settings.max_epochs)
    loader = EpochLoader(
        data.train,
        batch_size=config.data.batch_size,
        shuffle=config.data.shuffle,
        seed=settings.seed,
        num_workers=config.data.num_workers,
        transforms=data.transforms,
        sizes=sizes_of(data.train) if config.data.bucket_by_size else None,
    )
    stop = StopSignals()
    keeper = Keeper(folder=folder, data=data, loader=loader, stop=stop, progress=progress)
    if resume is not None:
        keeper.resume_from(resume.training)
    trainer = _make_trainer(config, folder, device, precision, keeper)
    if settings.devices * settings.num_nodes > 1:
        _freeze_idle(system)
    if main:
        log.info(
            f"training {config.system} ({system.num_parameters} parameters) on {len(data.train)} events, validating on "
            f"{len(data.val)}; {device.type}, {precision}, {num_threads} threads; run folder {folder}"
        )
    try:
        with stop, warnings.catch_warnings():
            _ignore_lightning_warnings()
            trainer.fit(Task(system, config), train_dataloaders=loader)
    finally:
        progress.close()
    checkpoints = folder / "checkpoints"
    if trainer.is_global_zero and keeper.top and len(data.val) and hasattr(system, "choose_working_point"):
        num_events = min(len(data.val), settings.limit_val_events or len(data.val))
        chosen = [data.val[index] for index in range(num_events)]
        batch_size = config.data.batch_size if kind.batches_inference else 1
        settle_working_point(checkpoints / "best.ckpt", chosen, device=device, batch_size=batch_size)
    return TrainOutcome(
        folder=folder,
        best=checkpoints / "best.ckpt" if keeper.top else None,
        last=checkpoints / "last.ckpt" if (checkpoints / "last.ckpt").exists() else None,
        best_value=keeper.best_value,
        metrics=keeper.metrics,
        seconds=time.perf_counter() - begin,
        rank=trainer.global_rank,
    )


def _epoch_numbers(config: RunConfig) -> range:
    first = config.training.start_epoch
    return range(first, first + config.training.max_epochs)


def _freeze_idle(system: Any) -> None:
    """Take parameters that a configuration never trains out of the exchange of gradients, which would wait for them."""
    idle = system.parameters_without_gradient() if hasattr(system, "parameters_without_gradient") else set()
    for name, parameter in system.named_parameters():
        if name in idle:
            parameter.requires_grad_(False)


def _make_trainer(config: RunConfig, folder: Path, device: torch.device, precision: str, keeper: Keeper) -> pl.Trainer:
    settings = config.training
    plugins: list[Any] = []
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        deterministic=settings.deterministic,
        logger=make_loggers(config, folder),
        callbacks=[keeper],
        plugins=plugins,
        default_root_dir=str(folder),
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _quiet_lightning() -> None:
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _ignore_lightning_warnings() -> None:
    warnings.filterwarnings("ignore", module=r"lightning\..*")
