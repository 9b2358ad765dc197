"""What a run of a staged system leaves on disk, and whether it still fits its inputs.

Layout of a run folder::

    config.yaml                       the chain's configuration
    <stage>/config.yaml, metrics.csv, checkpoints/   a run like any other
    <stage>/stage.json                what went in, what was chosen on validation events
    <stage>/events/                   events with what the stage decided, the input of the next one
    checkpoints/best.ckpt             the whole chain, once every stage is trained
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hitloom.data.files import atomic_file
from hitloom.errors import CheckpointError

STATE_FILE = "stage.json"


@dataclass(frozen=True, kw_only=True)
class StageState:
    """A finished stage.

    Attributes
    ----------
    stage : str
    inputs : str
        Digest of settings, input events and split; another one means that the stage is stale.
    free : str
        Digest of the settings that leave the weights valid; another one means that they are chosen anew.
    checkpoint : str
        Path of its weights, relative to the stage's folder.
    checkpoint_fingerprint : str
    settings : dict
        Resolved settings of the stage, those chosen on validation events included.
    chosen : dict
        The settings that were chosen on validation events.
    seconds : float
    """

    stage: str
    inputs: str
    free: str
    checkpoint: str
    checkpoint_fingerprint: str
    settings: dict[str, Any]
    chosen: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """Return what travels with the events that this stage made."""
        return {
            "stage": self.stage,
            "inputs": self.inputs,
            "checkpoint_fingerprint": self.checkpoint_fingerprint,
            "settings": self.settings,
        }


def read_state(folder: Path) -> StageState | None:
    """Return the state of a stage's folder, None when the stage is not finished.

    Raises
    ------
    CheckpointError
        When the file is damaged.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        return StageState(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise CheckpointError(f"{path}: damaged; mend: train this stage again (--redo)") from None


def write_state(folder: Path, state: StageState) -> None:
    """Write ``stage.json``, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / STATE_FILE) as part:
        part.write_text(json.dumps(asdict(state), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def set_aside(folder: Path) -> Path | None:
    """Rename a stage's folder to ``<stage>.previous`` (replacing an older one); None when there is none."""
    if not folder.exists():
        return None
    previous = folder.with_name(f"{folder.name}.previous")
    if previous.exists():
        shutil.rmtree(previous)
    folder.rename(previous)
    return previous


def digest(*values: Any) -> str:
    """Return sixteen hex digits that change with any of the values (JSON)."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_digest(ids: Mapping[str, Sequence[int]]) -> str:
    """Return sixteen hex digits of a division of event ids."""
    return digest({name: sorted(int(event_id) for event_id in ids[name]) for name in sorted(ids)})


def merged(settings: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with the chosen ones in place."""
    result = dict(settings)
    for name, value in chosen.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return result
