"""Events with what a trained stage decides, written for the next stage or for anyone who reads event stores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from hitloom.config import build
from hitloom.data.conditions import Conditions
from hitloom.data.store import EventStore, EventWriter
from hitloom.data.transforms import hard_cut
from hitloom.errors import DataError
from hitloom.registry import get_system
from hitloom.systems.staged import Stage
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.hardware import choose_device, set_threads
from hitloom.training.stage_folder import split_digest
from hitloom.training.stage_run import StagedRun

log = logging.getLogger("hitloom")

OnEvent = Callable[[str, int, int], None]


def load_stage(run: StagedRun, name: str) -> Stage:
    """Return a trained stage with its chosen settings, in evaluation mode.

    Raises
    ------
    CheckpointError
        When the stage is not trained.
    """
    state = run.finished(name)
    checkpoint = load_checkpoint(run.folder / name / state.checkpoint)
    system = get_system(run.spec(name).system)
    stage = system(build(system.Config, state.settings, where=f"stage {name}"))
    stage.load_state_dict(checkpoint.weights)
    loaded: Stage = stage.eval()
    return loaded


def apply_stage(
    run: StagedRun,
    name: str,
    *,
    store: str | Path | None = None,
    output: str | Path | None = None,
    on_event: OnEvent = lambda name, done, total: None,
) -> Path:
    """Write the events with what a stage decides, and return their store.

    Without ``store`` the stage's own input is taken, training and validation events; the result is kept while it fits.

    Raises
    ------
    CheckpointError, ConfigError, DataError
        When the stage is not trained, or a stage finds nothing in any event.
    """
    state = run.finished(name)
    target = Path(output) if output is not None else run.folder / name / "events"
    split: dict[str, list[int]] | None = None
    if store is None:
        before = run.before(name)
        if before is not None:
            apply_stage(run, before, on_event=on_event)
        source = EventStore(str(run.input_config(name).store))
        split = run.split_ids()
        wanted = {event_id for ids in split.values() for event_id in ids}
        rows = [row for row, event_id in enumerate(source.event_ids) if int(event_id) in wanted]
        cuts = run.input_config(name).cuts
    else:
        source = EventStore(store)
        rows, cuts = list(range(len(source))), run.config.data.cuts
    records = [*source.provenance.get("stages", []), state.record()]
    provenance = source.provenance | {"stages": records}
    if split is not None:
        provenance["split"] = {"digest": split_digest(split), "seed": run.config.data.split_seed}
    if target.exists() and output is None and EventStore(target).provenance.get("stages") == records:
        log.info(f"stage {name}: its events are there already, kept")
        return target
    log.info(f"stage {name}: applying it to {len(rows)} events")
    set_threads(run.config.training.num_threads)
    stage = load_stage(run, name).to(choose_device(run.config.training.accelerator))
    _write_events(stage, source, rows, cuts, target, provenance, split, on_event, name)
    return target


def _write_events(
    stage: Stage,
    source: EventStore,
    rows: Sequence[int],
    cuts: dict[str, Any],
    target: Path,
    provenance: dict[str, Any],
    split: dict[str, list[int]] | None,
    on_event: OnEvent,
    name: str,
) -> None:
    conditions = Conditions.parse(cuts, where="data.hard_cuts")
    device = next((parameter.device for parameter in stage.parameters()), torch.device("cpu"))
    num_edges = 0
    with EventWriter(target, provenance=provenance, overwrite=True) as writer:
        for number, row in enumerate(rows):
            event = hard_cut(source[row], conditions)
            stage.needs.check(event)
            made = stage.decide(event.to(str(device))).to("cpu")
            num_edges += int(made.edge_index.shape[1])
            writer.write(made)
            on_event(name, number + 1, len(rows))
        if not num_edges:
            raise DataError(
                f"stage {name}: no edges in any of {len(rows)} events; mend: a looser cut of this stage, or train it "
                "longer"
            )
        if split is not None:
            writer.record_split(split)
    log.info(f"stage {name}: {num_edges / max(1, len(rows)):.0f} edges an event")
