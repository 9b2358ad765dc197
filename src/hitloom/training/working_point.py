"""Settings that a system chooses on validation events once it is trained, stored in the best checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hitloom.event import Event
from hitloom.training.batches import portions
from hitloom.training.checkpoint import load_checkpoint, save_checkpoint
from hitloom.training.run_config import build_run_config
from hitloom.training.stage_folder import merged

log = logging.getLogger("hitloom")


def settle_working_point(
    path: Path, events: Sequence[Event], *, device: torch.device, batch_size: int = 1
) -> dict[str, Any]:
    """Let the system of a checkpoint choose its settings on events; write them into its configuration.

    It sees batches of ``batch_size`` events; 1 = single ones.

    Only a system with a method ``choose_working_point(events)`` does so. It returns settings of the model that leave
    the weights valid, as a nested mapping; they are returned, empty when there is nothing to choose.
    """
    loaded = load_checkpoint(path)
    system = loaded.build_system().to(device)
    choose: Any = getattr(system, "choose_working_point", None)
    if choose is None:
        return {}
    chosen: dict[str, Any] = choose(event.to(device) for event in portions(events, batch_size))
    if chosen:
        values = loaded.config.model_dump()
        values["model"] = merged(values["model"], chosen)
        config = build_run_config(values, where=str(path))
        header = loaded.header | {"config": config.to_yaml()}
        save_checkpoint(path, header=header, weights=loaded.weights, training=loaded.training)
        log.info(f"chosen on {len(events)} validation events: {chosen}")
    return chosen
