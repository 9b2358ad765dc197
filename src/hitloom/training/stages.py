"""Train, calibrate and apply the stages of a chain, each alone, on one division of events.

Training a stage never applies it, and applying is never part of a test: the events that a stage makes are written when
the next stage asks for them, or by ``hitloom stage apply``. Every step is skipped when the digest of its settings, its
input and its division of events says that it has been done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hitloom.config import build
from hitloom.data.store import EventStore
from hitloom.errors import CheckpointError, ConfigError
from hitloom.registry import get_system
from hitloom.training.checkpoint import Checkpoint, load_checkpoint, load_weights, make_header, save_checkpoint
from hitloom.training.hardware import set_threads
from hitloom.training.keeper import write_config
from hitloom.training.progress import Progress
from hitloom.training.run_config import RunConfig, build_run_config
from hitloom.training.run_data import open_data
from hitloom.training.stage_events import OnEvent, apply_stage
from hitloom.training.stage_folder import StageState, merged, read_state, set_aside, write_state
from hitloom.training.stage_run import StagedRun, is_staged
from hitloom.training.train import train

__all__ = ["StagedRun", "apply_stage", "assemble", "calibrate_stage", "is_staged", "part_of", "train_stages"]

log = logging.getLogger("hitloom")


def train_stages(
    config: RunConfig,
    *,
    output: str | Path,
    stage: str | None = None,
    resume: bool = False,
    redo: bool = False,
    init: Checkpoint | None = None,
    progress: Progress | None = None,
    on_event: OnEvent = lambda name, done, total: None,
) -> Path | None:
    """Train one stage, or all that are not finished; return the chain's checkpoint once every stage is trained.

    Parameters
    ----------
    stage : str or None
        None = every stage in its order.
    resume : bool
        Go on with what the folder holds; finished stages stay.
    redo : bool
        Train the stage again; its old folder becomes ``<stage>.previous``.
    init : Checkpoint or None
        A chain (or, for one stage, that stage) whose weights every stage starts from.

    Raises
    ------
    ConfigError, CheckpointError, DataError
        One line.
    StopRequested
        After a signal, with the state saved.
    """
    run = StagedRun(config=config, folder=Path(output))
    names = run.names if stage is None else [run.spec(stage).name]
    write_config(run.folder, config)
    for name in names:
        _train_one(run, name, resume=resume, redo=redo, init=init, progress=progress, on_event=on_event)
    if all(read_state(run.folder / name) is not None for name in run.names):
        return assemble(run)
    return None


def _train_one(
    run: StagedRun,
    name: str,
    *,
    resume: bool,
    redo: bool,
    init: Checkpoint | None,
    progress: Progress | None,
    on_event: OnEvent,
) -> None:
    folder = run.folder / name
    before = run.before(name)
    if before is not None:
        run.finished(before)
    state, inputs = read_state(folder), run.inputs(name)
    if state is not None and state.inputs == inputs and not redo:
        if state.free == run.free(name):
            log.info(f"stage {name}: trained already, kept")
        else:
            log.info(f"stage {name}: trained already; its cuts are chosen anew")
            if before is not None:
                apply_stage(run, before, on_event=on_event)
            _finish(run, name, folder / state.checkpoint, inputs=inputs, seconds=state.seconds)
        return
    if redo:
        set_aside(folder)
    elif state is not None:
        raise CheckpointError(
            f"{folder}: stage '{name}' was trained with other settings, events or stages before it; "
            f"mend: hitloom train {run.folder} --stage {name} --redo"
        )
    elif (folder / "checkpoints").exists() and not resume:
        raise ConfigError(f"{folder}: holds a run already; mend: --resume to continue it, or --redo")
    if before is not None:
        apply_stage(run, before, on_event=on_event)
    begin = time.perf_counter()
    config = run.stage_config(name)
    truth = getattr(config.model, "truth", None)
    choice = "" if truth is None else f"; pairs of one particle that are not consecutive: {truth.same_object}"
    log.info(f"stage {name}: training{choice}")
    fit = getattr(get_system(config.system), "fit", None)
    if fit is not None:
        checkpoint = _fit(fit, config, folder, on_event)
    else:
        last = folder / "checkpoints" / "last.ckpt"
        start = load_checkpoint(last) if resume and last.is_file() else None
        first = None if init is None or start is not None else part_of(init, name, config)
        outcome = train(config, output=folder, data=open_data(config.data), resume=start, init=first, progress=progress)
        chosen = outcome.best or outcome.last
        if chosen is None:
            raise ConfigError(f"stage {name}: no checkpoint was written; mend: training.max_epochs of at least 1")
        checkpoint = chosen
    _finish(run, name, checkpoint, inputs=inputs, seconds=time.perf_counter() - begin)


def _finish(run: StagedRun, name: str, path: Path, *, inputs: str, seconds: float) -> None:
    """Choose the settings that validation events decide, and record the stage as finished."""
    folder, config = run.folder / name, run.stage_config(name)
    loaded = load_checkpoint(path)
    model = loaded.config.model.model_dump()
    model |= {key: value for key, value in config.model.model_dump().items() if key in _free(config)}
    chosen = calibrate_stage(loaded, model, config)
    state = StageState(
        stage=name,
        inputs=inputs,
        free=run.free(name),
        checkpoint=str(path.relative_to(folder)),
        checkpoint_fingerprint=loaded.fingerprint,
        settings=merged(model, chosen),
        chosen=chosen,
        seconds=round(seconds, 1),
    )
    write_state(folder, state)
    if chosen:
        log.info(f"stage {name}: chosen on validation events: {_in_words(chosen)}")


def _free(config: RunConfig) -> tuple[str, ...]:
    names: tuple[str, ...] = get_system(config.system).free_settings
    return names


def _in_words(values: dict[str, Any], prefix: str = "") -> str:
    words = []
    for name, value in values.items():
        inner = f"{prefix}{name}"
        words.append(_in_words(value, f"{inner}.") if isinstance(value, dict) else f"{inner} = {value:.4g}")
    return ", ".join(words)


def _fit(fit: Any, config: RunConfig, folder: Path, on_event: OnEvent) -> Path:
    """Train a stage that learns in one pass over the events, without gradients."""
    data = open_data(config.data)
    total = len(data.train)

    def counted() -> Any:
        for number in range(total):
            yield data.train[number]
            on_event("fit", number + 1, total)

    system = fit(config.model, counted())
    fitted = config.model_copy(update={"model": system.config})
    write_config(folder, fitted)
    header = make_header(fitted, system, data_fingerprint=data.fingerprint, epoch=1, metrics={})
    path = folder / "checkpoints" / "best.ckpt"
    save_checkpoint(path, header=header, weights=system.state_dict(), training={})
    return path


def calibrate_stage(checkpoint: Checkpoint, model: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """Return the settings that a trained stage with the settings ``model`` chooses on its validation events."""
    system = get_system(config.system)
    stage = system(build(system.Config, model, where=f"{checkpoint.path}: settings"))
    load_weights(stage, checkpoint)
    set_threads(config.training.num_threads)
    data = open_data(config.data)
    limit = config.training.limit_val_events or len(data.val)
    chosen: dict[str, Any] = stage.eval().calibrate(data.val[number] for number in range(min(limit, len(data.val))))
    return chosen


def part_of(checkpoint: Checkpoint, name: str, config: RunConfig) -> Checkpoint:
    """Return the weights of one stage out of a chain's checkpoint; a stage's own checkpoint passes through.

    Raises
    ------
    CheckpointError
        When the checkpoint is of neither.
    """
    if checkpoint.header["system"] == config.system:
        return checkpoint
    prefix = f"{name}."
    weights = {key.removeprefix(prefix): value for key, value in checkpoint.weights.items() if key.startswith(prefix)}
    if not weights and get_system(config.system)(config.model).state_dict():
        raise CheckpointError(
            f"{checkpoint.path}: checkpoint of system '{checkpoint.header['system']}' without a stage '{name}'"
        )
    header = checkpoint.header | {"system": config.system}
    return Checkpoint(header=header, weights=weights, path=checkpoint.path)


def assemble(run: StagedRun) -> Path:
    """Write the checkpoint of the whole chain from those of its stages; return its path."""
    states = {name: run.finished(name) for name in run.names}
    model = run.config.model.model_dump()
    weights: dict[str, torch.Tensor] = {}
    for name, state in states.items():
        model[name] = state.settings
        own = load_checkpoint(run.folder / name / state.checkpoint)
        weights |= {f"{name}.{key}": value for key, value in own.weights.items()}
    values = run.config.model_dump() | {"model": model}
    config = build_run_config(values, where="chain")
    system = get_system(config.system)(config.model)
    system.load_state_dict(weights)
    metrics = {
        f"{name}_{key}": value
        for name, state in states.items()
        for key, value in load_checkpoint(run.folder / name / state.checkpoint).header["metrics"].items()
    }
    epoch = sum(load_checkpoint(run.folder / name / state.checkpoint).header["epoch"] for name, state in states.items())
    store = EventStore(str(run.config.data.store))
    header = make_header(config, system, data_fingerprint=store.fingerprint(), epoch=epoch, metrics=metrics)
    header["stages"] = [state.record() for state in states.values()]
    path = run.folder / "checkpoints" / "best.ckpt"
    save_checkpoint(path, header=header, weights=weights, training={})
    return path
