"""How a run starts: fresh, resumed, or from weights; which settings come from the checkpoint and which from the recipe.

With a checkpoint, model, data and optimiser settings come from the checkpoint; the trainer's own settings (epochs,
hardware, precision, logging) and the place of the data come from the recipe.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hitloom.config import apply_overrides, load_yaml
from hitloom.errors import CheckpointError, ConfigError
from hitloom.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, newest_checkpoint
from hitloom.training.run_config import RunConfig, build_run_config, load_recipe, recipe_path

log = logging.getLogger("hitloom")

# Settings of a run that stay the recipe's when a checkpoint is given.
FROM_RECIPE = {
    "data": ("store", "num_workers", "cache"),
    "training": (
        "max_epochs", "precision", "accelerator", "devices", "num_nodes", "strategy", "num_threads", "deterministic",
        "save_top_k", "save_every_steps", "validate_every", "limit_val_events", "log", "project",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Start:
    """Everything :func:`hitloom.training.train.train` needs to begin."""

    config: RunConfig
    folder: Path
    resume: Checkpoint | None = None
    init: Checkpoint | None = None


def plan_start(
    recipe: str | Path,
    *,
    overrides: Sequence[str] = (),
    store: str | Path | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    checkpoint: str | Path | None = None,
    checkpoint_resume_dir: str | Path | None = None,
    load_only_model_parameters: bool = False,
    init_from: str | Path | None = None,
) -> Start:
    """Resolve recipe, overrides, run folder and checkpoint.

    Parameters
    ----------
    recipe : name, YAML file or run folder
    overrides : sequence of "a.b=value"
    store : path or None
        Event store, shorthand for ``data.store=...``.
    output : path or None
        Run folder; None: ``runs/<recipe>``, or the folder itself where ``recipe`` is one.
    resume : bool
        Continue from the newest checkpoint of the run folder; a fresh start where it has none yet.
    checkpoint, checkpoint_resume_dir : path or None
        A checkpoint to continue from, or a folder whose newest one (searched recursively) is taken instead.
    load_only_model_parameters : bool
        With one of these: settings and weights as there, but a new optimiser, schedule and epoch count.
    init_from : path or name or None
        Start a new run of the recipe, its own settings throughout, from these weights.

    Raises
    ------
    ConfigError, CheckpointError
        One line.
    """
    path = recipe_path(recipe)
    if store is not None:
        overrides = [*overrides, f"data.store={_quoted(str(store))}"]
    folder = Path(output) if output is not None else _default_folder(recipe, path)
    if int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0) > 0 and not (checkpoint or checkpoint_resume_dir):
        resume = True
    chosen = _choose_checkpoint(folder, resume, checkpoint, checkpoint_resume_dir)
    if load_only_model_parameters and chosen is None:
        raise ConfigError("--load-only-model-parameters needs a checkpoint; mend: -c CHECKPOINT, or use --init-from")
    if init_from is not None and chosen is not None and not resume:
        raise ConfigError("--init-from starts a new run and cannot be joined with -c; mend: give one of the two")
    if not resume and any((folder / "checkpoints").glob("*.ckpt")) and not _inside(chosen, folder):
        raise ConfigError(f"{folder}: holds a run already; mend: --resume to continue it, or another --output")
    if chosen is None:
        init = load_checkpoint(find_checkpoint(init_from)) if init_from is not None else None
        return Start(config=load_recipe(path, overrides), folder=folder, init=init)
    loaded = load_checkpoint(chosen)
    if not loaded.training and not load_only_model_parameters:
        raise CheckpointError(f"{chosen}: holds weights only and cannot be resumed; mend: --init-from {chosen}")
    config = merge(path, overrides, loaded)
    if load_only_model_parameters:
        return Start(config=config, folder=folder, init=loaded)
    log.info("continuing from %s, epoch %d", chosen, loaded.training["epoch"])
    return Start(config=config, folder=folder, resume=loaded)


def plan_staged(
    recipe: str | Path,
    *,
    overrides: Sequence[str] = (),
    store: str | Path | None = None,
    output: str | Path | None = None,
    init_from: str | Path | None = None,
) -> Start:
    """Resolve recipe, overrides and run folder of a system made of stages; each stage finds its own state.

    Raises
    ------
    ConfigError, CheckpointError
        One line.
    """
    path = recipe_path(recipe)
    if store is not None:
        overrides = [*overrides, f"data.store={_quoted(str(store))}"]
    init = load_checkpoint(find_checkpoint(init_from)) if init_from is not None else None
    folder = Path(output) if output is not None else _default_folder(recipe, path)
    return Start(config=load_recipe(path, overrides), folder=folder, init=init)


def merge(path: Path, overrides: Sequence[str], checkpoint: Checkpoint) -> RunConfig:
    """Return the checkpoint's configuration with the recipe's trainer settings.

    Raises
    ------
    ConfigError
        When an override asks for another value of a setting that the checkpoint fixes.
    CheckpointError
        When the checkpoint is of another system.
    """
    recipe = build_run_config(apply_overrides(load_yaml(path), overrides), where=str(path))
    if recipe.system != checkpoint.header["system"]:
        raise CheckpointError(
            f"{checkpoint.path}: checkpoint of system '{checkpoint.header['system']}', "
            f"but {path} trains '{recipe.system}'"
        )
    fixed = checkpoint.config
    wanted, values = recipe.model_dump(), fixed.model_dump()
    for section, names in FROM_RECIPE.items():
        for name in names:
            values[section][name] = wanted[section][name]
    if values["data"]["store"] is None:
        values["data"]["store"] = fixed.data.store
    merged = build_run_config(values, where=str(checkpoint.path))
    for override in overrides:
        key = override.partition("=")[0].strip()
        if _at(merged.model_dump(), key) != _at(wanted, key):
            raise ConfigError(
                f"--set {override}: '{key}' is fixed by the checkpoint {checkpoint.path} "
                f"({_at(merged.model_dump(), key)!r}); mend: leave it out, or start anew with --init-from"
            )
    return merged


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _quoted(text: str) -> str:
    import json

    return json.dumps(text)


def _default_folder(recipe: str | Path, path: Path) -> Path:
    return Path(recipe) if Path(recipe).is_dir() else Path("runs") / path.stem


def _inside(path: Path | None, folder: Path) -> bool:
    return path is not None and path.resolve().is_relative_to(folder.resolve())


def _choose_checkpoint(
    folder: Path, resume: bool, checkpoint: str | Path | None, resume_dir: str | Path | None
) -> Path | None:
    if resume_dir is not None:
        return newest_checkpoint(resume_dir)
    if checkpoint is not None:
        return find_checkpoint(checkpoint)
    if resume:
        last = folder / "checkpoints" / "last.ckpt"
        if last.is_file():
            return last
        if any((folder / "checkpoints").glob("*.ckpt")):
            return newest_checkpoint(folder / "checkpoints")
        log.info("%s holds no checkpoint yet; the run starts from the beginning", folder)
    return None
