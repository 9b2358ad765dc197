"""Weights of another code's checkpoint as a checkpoint of hitloom."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from hitloom.errors import CheckpointError, ConfigError
from hitloom.registry import get_system
from hitloom.training.checkpoint import FORMAT, make_header, read_torch, save_checkpoint
from hitloom.training.run_config import RunConfig

log = logging.getLogger("hitloom")

_STATE_KEYS = ("model_state_dict", "state_dict")


def import_weights(path: str | Path, config: RunConfig, output: str | Path) -> Path:
    """Read a state dict (alone, or inside a checkpoint) and write the system with these weights.

    Files are read without running any code that they may hold.

    Raises
    ------
    CheckpointError
        When the file cannot be read, holds no tensors, or does not fit the model of ``config``.
    ConfigError
        When the system does not know any other code's weights.
    """
    path, output = Path(path), Path(output)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    content = read_torch(path)
    if isinstance(content, dict) and isinstance(content.get("header"), dict):
        raise CheckpointError(f"{path}: is a {FORMAT} already; mend: use it as it is")
    state: Any = content
    for key in _STATE_KEYS:
        if isinstance(content, dict) and key in content:
            state = content[key]
    if state is content and isinstance(content, dict):
        state = _joined(content) or content
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: holds no state dict; wanted one, alone or under 'model_state_dict'")
    reference = getattr(get_system(config.system), "import_weights", None)
    if reference is None:
        raise ConfigError(f"system '{config.system}' does not import weights of another code")
    try:
        system, left = reference(state, config.model)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    epoch = content.get("epoch", 0) if content is not state else 0
    header = make_header(config, system, data_fingerprint="", epoch=int(epoch), metrics={})
    save_checkpoint(output, header=header, weights=system.state_dict(), training={})
    log.warning(
        f"{path}: weights taken over by their order and shapes, not by name; compare scores that you know before you "
        f"rely on them. Left out: {', '.join(left) or 'nothing'}"
    )
    return output


def _joined(content: dict[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of all nets of a file that holds a state dict for each, under <key>.<name>."""
    nets = {
        key: value
        for key, value in content.items()
        if key.endswith("_state_dict") and isinstance(value, dict) and _all_tensors(value)
    }
    return {f"{key}.{name}": tensor for key, net in nets.items() for name, tensor in net.items()}


def _all_tensors(values: dict[str, Any]) -> bool:
    return bool(values) and all(isinstance(value, Tensor) for value in values.values())
