"""``hitloom export --to pandora-weights``: a run as the training folder of the original shower-growing code."""

from __future__ import annotations

import math
from pathlib import Path

import typer


def export_run(run: Path, folder: Path) -> None:
    """Write losses, configuration and weights of a run folder.

    Raises
    ------
    ConfigError
        When it is no run folder, or one of another system.
    """
    from hitloom.errors import ConfigError
    from hitloom.systems.showers.reference_folder import TrainingState, write_reference_folder
    from hitloom.training.checkpoint import load_checkpoint
    from hitloom.training.history import read_history

    files = {"best_weights": run / "checkpoints/best.ckpt", "latest_epoch_weights": run / "checkpoints/last.ckpt"}
    if not (run / "metrics.csv").is_file() or not files["latest_epoch_weights"].is_file():
        raise ConfigError(
            f"{run}: no run folder (metrics.csv, checkpoints/last.ckpt); mend: the folder of hitloom train"
        )
    loaded = {name: load_checkpoint(path) for name, path in files.items() if path.is_file()}
    last = loaded["latest_epoch_weights"]
    if last.header["system"] != "showers":
        raise ConfigError(f"--to pandora-weights: a run of 'showers' was wanted, not '{last.header['system']}'")
    states = {
        name: TrainingState(
            weights=state.weights,
            training=state.training,
            epoch=int(state.header["epoch"]),
            val_loss=float(state.header["metrics"].get("val_loss", math.nan)),
        )
        for name, state in loaded.items()
    }
    written = write_reference_folder(
        folder, rows=read_history(run / "metrics.csv"), states=states, config=last.header["config"], name=folder.name
    )
    for path in written:
        typer.echo(str(path))
