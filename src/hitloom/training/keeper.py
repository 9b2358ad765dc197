"""The callback that keeps a run: position, validation, history, best and last checkpoints, stop signals.

Order at the end of an epoch: validation, ``metrics.csv``, best and top-k checkpoints, then ``last.ckpt``. A kill
between any two leaves a ``last.ckpt`` from which the epoch is done again to the same values.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed

from hitloom.errors import CheckpointError, ConfigError, nearest
from hitloom.training.batches import EpochLoader, taken
from hitloom.training.checkpoint import make_header, save_checkpoint
from hitloom.training.history import History
from hitloom.training.loggers import log_epoch, log_settings
from hitloom.training.module import Task
from hitloom.training.progress import Progress
from hitloom.training.run_config import RunConfig
from hitloom.training.run_data import RunData
from hitloom.training.stop import StopRequested, StopSignals
from hitloom.training.validation import rates_of, validate

log = logging.getLogger("hitloom")


class Keeper(pl.Callback):
    """Everything between steps and between epochs; see the module's text.

    Attributes
    ----------
    top : list of (value, file name)
        The ``save_top_k`` best epochs, best first.
    """

    def __init__(
        self, *, folder: Path, data: RunData, loader: EpochLoader, stop: StopSignals, progress: Progress
    ) -> None:
        self.folder = folder
        self.data = data
        self.loader = loader
        self.stop = stop
        self.progress = progress
        self.history = History(folder / "metrics.csv")
        self.start: dict[str, Any] = {}
        self.top: list[tuple[float, str]] = []
        self.metrics: dict[str, float] = {}
        self._epoch_begin = 0.0
        self._num_steps = 0
        self._warned = False

    @property
    def best_value(self) -> float | None:
        """Monitored value of ``best.ckpt``; None before the first."""
        return self.top[0][0] if self.top else None

    # ------------------------------------------------------------------ position

    def resume_from(self, training: dict[str, Any]) -> None:
        """Continue from the ``training`` part of a checkpoint once the fit begins."""
        self.start = training
        here = self.folder / "checkpoints"
        alone = len(training["top"]) == 1 and (here / "best.ckpt").is_file()
        self.top = [(value, name) for value, name in training["top"] if alone or (here / name).is_file()]
        self.history = History.resume(self.folder / "metrics.csv", num_epochs=training["epoch"])

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Take this device's share of the events, and write the configuration."""
        self.loader.share(rank=trainer.global_rank, world_size=trainer.world_size)
        if trainer.is_global_zero:
            write_config(self.folder, pl_module.run_config)
        log_settings(trainer.loggers, pl_module.run_config)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Put optimiser, schedule and loop counters where the checkpoint left them."""
        task: Task = pl_module
        if not self.start:
            return
        start = self.start
        epoch, batch, step = start["epoch"], start["batch"], start["step"]
        if batch and (start["num_batches"], start["world_size"]) != (len(self.loader), trainer.world_size):
            raise CheckpointError(
                f"the checkpoint lies within an epoch of {start['num_batches']} batches on {start['world_size']} "
                f"devices, this run has {len(self.loader)} on {trainer.world_size}; mend: the same data and devices"
            )
        optimizer = trainer.optimizers[0]
        optimizer.load_state_dict(start["optimizer"])
        if start["precision"]:
            trainer.precision_plugin.load_state_dict(start["precision"])
        task.schedule.load_state_dict(start["schedule"])
        if "early" in start:
            task.early.load_state_dict(start["early"])
        task.average.resume(start.get("average", {}), task.system)
        task.sums = dict(start["sums"]) if trainer.is_global_zero else dict.fromkeys(start["sums"], 0.0)
        loop = trainer.fit_loop
        for counts in (loop.epoch_progress.current, loop.epoch_progress.total):
            for name in ("ready", "started", "processed", "completed"):
                setattr(counts, name, epoch)
        steps = loop.epoch_loop.manual_optimization.optim_step_progress.total
        steps.ready = steps.completed = step
        loop.epoch_loop._batches_that_stepped = step
        self.loader.num_skipped = batch
        self._num_steps = step
        trainer.should_stop = task.early.reached

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Take the signals back from Lightning."""
        self.stop.install()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock of the epoch."""
        self._epoch_begin = time.perf_counter()
        self.progress.begin_epoch(trainer.current_epoch, len(self.loader))

    # ------------------------------------------------------------------ between steps

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save and stop where a signal asked for it, or save every so many steps."""
        self.progress.advance(batch_idx + 1)
        task: Task = pl_module
        config = task.run_config.training
        done = batch_idx + 1
        if isinstance(batch, str) or (done % config.accumulate and done != len(self.loader)):
            return
        self._stop_where_asked(trainer, task, done)
        every, before, self._num_steps = config.save_every_steps, self._num_steps, trainer.global_step
        if every and self._num_steps // every > before // every:
            self._save_last(trainer, task, epoch=trainer.current_epoch, batch=done)

    def _stop_where_asked(self, trainer: pl.Trainer, task: Task, batch: int) -> None:
        signum = self.stop.requested or 0
        if trainer.world_size > 1:
            wanted = torch.tensor(float(signum), device=task.device)
            signum = int(trainer.strategy.reduce(wanted, reduce_op="max"))
        if signum:
            self._save_last(trainer, task, epoch=trainer.current_epoch, batch=batch)
            raise StopRequested(signum, rank=trainer.global_rank)

    # ------------------------------------------------------------------ end of an epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Validate, write the row, save."""
        task: Task = pl_module
        config = task.run_config.training
        epoch = trainer.current_epoch
        values = task.epoch_values()
        task.average.observe(epoch, task.system)
        last = epoch + 1 >= config.max_epochs
        if len(self.data.val) and ((epoch + 1) % config.validate_every == 0 or last):
            with task.average.applied(task.system):
                values |= self._validate(trainer, task)
        monitored = values.get(config.monitor)
        if monitored is None and (config.monitor.startswith("train_") or any(n.startswith("val_") for n in values)):
            raise ConfigError(f"training.monitor: no value '{config.monitor}'.{nearest(config.monitor, values)}")
        row = {
            "epoch": epoch,
            "step": trainer.global_step,
            "lr": task.schedule.rate(epoch, step=task.num_steps - 1, num_steps=task.num_steps),
            "seconds": round(time.perf_counter() - self._epoch_begin, 3),
        } | values
        task.schedule.observe(monitored)
        task.early.observe(monitored)
        task.sums = {}
        self.metrics = values
        if trainer.is_global_zero:
            self.history.add(row)
            self._warn_once(task, values)
        self._save_best(trainer, task, epoch, monitored)
        log_epoch(trainer.loggers, row, step=trainer.global_step, best=self.best_value)
        self._save_last(trainer, task, epoch=epoch + 1, batch=0)
        self.progress.end_epoch(row, config.monitor)
        if task.early.reached and not last:
            log.info(f"stopped early: {config.monitor} has not improved for {task.early.num_bad} validated epochs")
            trainer.should_stop = True

    def _warn_once(self, task: Task, values: dict[str, float]) -> None:
        """Log what the system finds wrong with the values of an epoch, the first time."""
        find = getattr(task.system, "epoch_warning", None)
        found = find(values) if find is not None and not self._warned else None
        if found:
            self._warned = True
            log.warning(found)

    def _validate(self, trainer: pl.Trainer, task: Task) -> dict[str, float]:
        """Validate every event once, on one of the devices; whatever their number, the batches are the same."""
        config, system = task.run_config, task.system
        num_events = min(len(self.data.val), config.training.limit_val_events or len(self.data.val))
        in_batches = system.batches_inference and not system.validates_partition
        step = config.data.batch_size * trainer.world_size if in_batches else 1
        own = range(0, num_events, step)[trainer.global_rank :: trainer.world_size]
        self.progress.begin_validation(len(own))

        def between() -> None:
            self.progress.advance()
            if trainer.world_size == 1:
                self._stop_where_asked(trainer, task, len(self.loader))

        # in float32, as inference will run, whatever the precision of the training
        sums = validate(
            system,
            ((first, taken(self.data.val, range(first, min(first + step, num_events)))) for first in own),
            device=task.device,
            seed=config.training.seed,
            targets=config.evaluation.targets,
            epoch=task.epoch_number,
            between=between,
        )
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, sums)
            sums = {name: sum(part.get(name, 0.0) for part in gathered) for part in gathered for name in part}
        return rates_of(system, sums)

    # ------------------------------------------------------------------ files

    def _content(self, trainer: pl.Trainer, task: Task, *, epoch: int, batch: int) -> dict[str, Any]:
        sums = task.summed() if batch else {}
        header = make_header(
            task.run_config, task.system, data_fingerprint=self.data.fingerprint, epoch=epoch, metrics=self.metrics
        )
        training = {
            "epoch": epoch,
            "batch": batch,
            "step": trainer.global_step,
            "num_batches": len(self.loader),
            "world_size": trainer.world_size,
            "optimizer": trainer.optimizers[0].state_dict(),
            "precision": trainer.precision_plugin.state_dict(),
            "schedule": task.schedule.state_dict(),
            "early": task.early.state_dict(),
            "sums": sums,
            "top": self.top,
        }
        with task.average.applied(task.system) as before:
            weights = {name: value.clone() for name, value in task.system.state_dict().items()}
        return {"header": header, "weights": weights, "training": training | {"average": before}}

    def _save_last(self, trainer: pl.Trainer, task: Task, *, epoch: int, batch: int) -> None:
        content = self._content(trainer, task, epoch=epoch, batch=batch)
        if trainer.is_global_zero:
            save_checkpoint(self.folder / "checkpoints" / "last.ckpt", **content)
        if trainer.world_size > 1:
            trainer.strategy.barrier("save")

    def _save_best(self, trainer: pl.Trainer, task: Task, epoch: int, value: float | None) -> None:
        config = task.run_config.training
        if value is None or math.isnan(value) or not config.save_top_k:
            return
        sign = 1 if config.mode == "max" else -1
        entry = (value, f"epoch={epoch:04d}-{config.monitor}={value:.5g}.ckpt")
        top = sorted([*self.top, entry], key=lambda item: -sign * item[0])[: config.save_top_k]
        if entry not in top:
            return
        dropped = [item[1] for item in self.top if item not in top]
        self.top = top
        if not trainer.is_global_zero:
            return
        folder = self.folder / "checkpoints"
        target = folder / (entry[1] if config.save_top_k > 1 else "best.ckpt")
        save_checkpoint(target, **self._content(trainer, task, epoch=epoch + 1, batch=0))
        if config.save_top_k > 1:
            if top[0] == entry:
                _copy(target, folder / "best.ckpt")
            for name in dropped:
                (folder / name).unlink(missing_ok=True)


def write_config(folder: Path, config: RunConfig) -> None:
    """Write ``config.yaml`` into a run folder, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".config.yaml.{os.getpid()}.tmp"
    temporary.write_text(config.to_yaml(), encoding="utf-8")
    os.replace(temporary, folder / "config.yaml")


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.copyfile(source, temporary)
    os.replace(temporary, target)
