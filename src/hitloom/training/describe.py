"""What a recipe or a checkpoint is, in plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hitloom._version import __version__
from hitloom.errors import CheckpointError, ConfigError
from hitloom.registry import get_system
from hitloom.systems.staged import StagedSystem
from hitloom.training.checkpoint import find_checkpoint, load_checkpoint
from hitloom.training.run_config import RunConfig, load_recipe, recipe_path


def describe(what: str | Path) -> dict[str, Any]:
    """Return system, number of parameters, needs and versions of a recipe, checkpoint, run folder or shipped weights.

    A name that is both a recipe and shipped weights is described as the weights, which hold the recipe.

    Raises
    ------
    ConfigError, CheckpointError
        When it is neither, or damaged.
    """
    path = Path(what)
    if path.suffix in (".yaml", ".yml"):
        return {"kind": "recipe", "path": str(recipe_path(what))} | _of_config(load_recipe(what))
    try:
        found = find_checkpoint(what)
    except CheckpointError as error:
        try:
            recipe = recipe_path(what)
        except ConfigError:
            raise error from None
        return {"kind": "recipe", "path": str(recipe)} | _of_config(load_recipe(what))
    checkpoint = load_checkpoint(found)
    header = checkpoint.header
    return {
        "kind": "checkpoint" if checkpoint.training else "weights",
        "path": str(found),
        **_of_config(checkpoint.config),
        "version": header["hitloom"],
        "torch": header["torch"],
        "git_commit": header["git_commit"],
        "fingerprint": checkpoint.fingerprint,
        "data_fingerprint": header["data_fingerprint"],
        "epoch": header["epoch"],
        "metrics": header["metrics"],
        "size_mb": round(found.stat().st_size / 1e6, 3),
    }


def _of_config(config: RunConfig) -> dict[str, Any]:
    system = get_system(config.system)(config.model)
    needs = system.needs
    stages = {}
    if isinstance(system, StagedSystem):
        parts = system.parts.items()
        stages = {"stages": [{"name": name, "num_parameters": stage.num_parameters} for name, stage in parts]}
    return {
        "system": config.system,
        "num_parameters": system.num_parameters,
        **stages,
        "needs": list(needs.fields),
        "features": list(needs.features),
        "training_needs": list(needs.training_fields),
        "hard_cuts": config.data.cuts,
        "version": __version__,
    }
