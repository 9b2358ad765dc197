"""The folder that a training of the reference code leaves, written from a run of hitloom, and its table of losses.

``losses_<n>.txt`` has a line ``TRAIN|VALID <epoch> <loss>`` for each value, the epoch as a float at the end of what was
averaged; ``weights_<n>/{best_weights,latest_epoch_weights}.pt`` hold a state dict for each net, optimiser and schedule,
``epoch``, ``val_loss`` and ``exp_name``; ``n`` is the first number that is free. Losses are those of the first tier.
Parameters have hitloom's names inside the state dicts; their order and shapes are the reference's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from hitloom.data.files import atomic_file
from hitloom.errors import DataError
from hitloom.systems.showers.reference import reference_state

KINDS = {"train_loss": "TRAIN", "val_loss": "VALID"}


class LossPoint(NamedTuple):
    """One line of a table of losses."""

    kind: Literal["TRAIN", "VALID"]
    epoch: float
    loss: float


class TrainingState(NamedTuple):
    """What one weights file holds: weights of the system, state of the training, finished epochs, loss or NaN."""

    weights: Mapping[str, Tensor]
    training: Mapping[str, Any]
    epoch: int
    val_loss: float


def write_reference_folder(
    folder: Path,
    *,
    rows: Iterable[Mapping[str, Any]],
    states: Mapping[str, TrainingState],
    config: str,
    name: str,
) -> list[Path]:
    """Write losses, weights and configuration of a run; return the files.

    Parameters
    ----------
    folder : Path
        ``<checkpoints_dir>/<name>`` of the reference; what is there stays.
    rows : iterable of mapping
        Values of each epoch (``metrics.csv``).
    states : mapping
        File name without ending -> state.
    config : str
        The resolved configuration as YAML.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = first_free(folder)
    lines = [
        f"{kind} {float(row['epoch'] + 1)} {row[value]}"
        for row in rows
        for value, kind in KINDS.items()
        if value in row
    ]
    files = [folder / f"losses_{number}.txt", folder / f"{name}.yaml"]
    for path, text in zip(files, ("\n".join([*lines, ""]), config), strict=True):
        with atomic_file(path) as part:
            part.write_text(text, encoding="utf-8")
    for file, state in states.items():
        path = folder / f"weights_{number}" / f"{file}.pt"
        path.parent.mkdir(exist_ok=True)
        content = reference_state(state.weights) | {
            "optimizer_state_dict": state.training.get("optimizer", {}),
            "lr_scheduler_state_dict": state.training.get("schedule", {}),
            "epoch": state.epoch,
            "val_loss": state.val_loss,
            "exp_name": name,
        }
        with atomic_file(path) as part:
            torch.save(content, part)
        files.append(path)
    return files


def first_free(folder: Path) -> int:
    """Return the first number that neither a table of losses nor a folder of weights has."""
    number = 0
    while (folder / f"losses_{number}.txt").exists() or (folder / f"weights_{number}").exists():
        number += 1
    return number


def read_losses(path: str | Path) -> list[LossPoint]:
    """Return the lines of a table of losses.

    Raises
    ------
    DataError
        When the file cannot be read, or a line is not of the form ``TRAIN|VALID <epoch> <loss>``.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the losses: {error}") from None
    points = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            points.append(_point(line.split(), f"{path}, line {number}"))
    return points


def _point(words: Sequence[str], where: str) -> LossPoint:
    try:
        kind, epoch, loss = words
        point = LossPoint(kind, float(epoch), float(loss))  # type: ignore[arg-type]
    except ValueError:
        point = LossPoint("TRAIN", math.nan, math.nan)
    if point.kind not in KINDS.values() or math.isnan(point.epoch):
        raise DataError(f"{where}: 'TRAIN|VALID epoch loss' was wanted, not '{' '.join(words)[:60]}'")
    return point
