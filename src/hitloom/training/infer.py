"""Inference over a store: one results file per split, resumable, never mixed with another checkpoint's results."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from hitloom._version import __version__
from hitloom.config import apply_overrides, dump_yaml, parse_yaml
from hitloom.data.results import IDENTITY, ResultWriter, results_path
from hitloom.data.store import EventStore
from hitloom.errors import ConfigError, DataError, nearest
from hitloom.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from hitloom.training.hardware import peak_memory, set_threads
from hitloom.training.reconstruct import Reconstructor
from hitloom.training.run_config import build_run_config
from hitloom.training.run_data import SPLITS, split_rows
from hitloom.training.stop import StopRequested, StopSignals

log = logging.getLogger("hitloom")
WORKING_POINT = ("threshold", "energy_cuts")  # settings of a system that joins points by the scores of edges


@dataclass
class InferReport:
    """What an inference did.

    Attributes
    ----------
    written, kept : dict
        Events by split: reconstructed now, and there already from the same checkpoint and store.
    seconds : list
        Wall time of each event reconstructed now, without reading and writing.
    paths : list of Path
        The results files.
    notes : list of str
        What was skipped, and what a reader must know of the input.
    """

    written: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    num_points: list[int] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    memory: str = ""

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        lines = []
        for path, split in zip(self.paths, self.written, strict=True):
            kept = f" ({self.kept[split]} were there already)" if self.kept[split] else ""
            lines.append(f"{path}: {self.written[split]} events{kept}")
        if self.seconds:
            lines.append(
                f"median wall time {median(self.seconds):.3f} s an event (network and grouping, median "
                f"{median(self.num_points):.0f} points, after a warm-up event); {self.memory}"
            )
        return [*lines, *self.notes]


def infer(
    checkpoint: Checkpoint | str | Path,
    store: str | Path,
    *,
    output: str | Path,
    splits: Sequence[str] = ("all",),
    rows: Mapping[str, Sequence[int]] | None = None,
    accelerator: str = "auto",
    limit: int | None = None,
    save_embedding: bool = True,
    save_edges: bool | None = None,
    redo: bool = False,
    overrides: Sequence[str] = (),
    num_threads: int | None = None,
    batch_size: int | None = None,
    on_event: Callable[[str, int, int], None] = lambda split, done, total: None,
) -> InferReport:
    """Reconstruct the events of a store and keep the results in the folder ``output``.

    Parameters
    ----------
    splits : sequence of train, val, test, all
        ``all`` is every split where the store is the one of the training, else every event in one file.
    rows : mapping or None
        Name of the results file -> rows of the store, instead of splits.
    limit : int or None
        At most so many events of each split, the first in the store.
    save_edges : bool or None
        Keep edges and their scores in the results; None = where the system decides by them (``System.keeps_edges``).
    redo : bool
        Replace results of another checkpoint or store; otherwise they are refused.
    overrides : sequence of "a.b=value"
        Settings that leave the weights valid, for example ``model.grouping.eps=0.2``.
    batch_size : int or None
        Events of one pass of the network; None = as in the training, where the system takes batches, else 1.
    on_event : callable
        Called with the split, the number of events done and their total.

    Raises
    ------
    CheckpointError, ConfigError, DataError
        One line.
    StopRequested
        After a signal; what was done is kept, and the same call goes on from there.
    """
    loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(find_checkpoint(checkpoint))
    loaded = with_overrides(loaded, overrides)
    reconstruct = Reconstructor(loaded, accelerator=accelerator)
    set_threads(num_threads, best=reconstruct.system.num_threads if reconstruct.device.type == "cpu" else None)
    at_once = _batch_size(reconstruct, batch_size)
    events = EventStore(store)
    save_edges = reconstruct.system.keeps_edges if save_edges is None else save_edges
    meta = _meta(loaded, reconstruct, events, save_embedding=save_embedding, save_edges=save_edges)
    report = InferReport()
    if reconstruct.truth_selected_input:
        report.notes.append(
            "truth-selected input: the hard cuts of this checkpoint look at truth, so rates are of the selected hits"
        )
    chosen = rows if rows is not None else _choose_rows(events, loaded, splits, report)
    warm = False
    with StopSignals() as stop:
        for split, every in chosen.items():
            here = every[:limit] if limit is not None else every
            ids = events.event_ids
            order = [int(ids[row]) for row in here]
            identity = (*IDENTITY, "hard_cuts", "save_embedding", "save_edges")
            with ResultWriter(
                output, split, meta=meta | {"split": split}, identity=identity, redo=redo, order=order
            ) as writer:
                todo = [row for row in here if int(ids[row]) not in writer.done]
                report.kept[split], report.written[split] = len(here) - len(todo), 0
                report.paths.append(results_path(output, split))
                for start in range(0, len(todo), at_once):
                    batch = [events[row] for row in todo[start : start + at_once]]
                    if not warm:
                        reconstruct(batch[0])
                        warm = True
                    results = reconstruct.batch(batch, save_embedding=save_embedding, save_edges=save_edges)
                    writer.write(*results)
                    report.written[split] += len(batch)
                    report.seconds += [result.timing["total"] for result in results]
                    report.num_points += [event.num_points for event in batch]
                    on_event(split, start + len(batch), len(todo))
                    if stop.requested is not None:
                        raise StopRequested(stop.requested)
    report.memory = peak_memory(reconstruct.device)
    return report


def _batch_size(reconstruct: Reconstructor, wanted: int | None) -> int:
    """Return the number of events of one pass of the network.

    Raises
    ------
    ConfigError
        When batches are asked for and the system takes single events.
    """
    takes_batches = reconstruct.system.batches_inference
    if wanted is None:
        return reconstruct.config.data.batch_size if takes_batches else 1
    if wanted > 1 and not takes_batches:
        raise ConfigError(f"--batch-size {wanted}: system '{reconstruct.config.system}' takes one event at a time")
    return wanted


def with_overrides(checkpoint: Checkpoint, overrides: Sequence[str]) -> Checkpoint:
    """Return the checkpoint with settings changed; its fingerprint changes with those of the model."""
    if not overrides:
        return checkpoint
    values = apply_overrides(parse_yaml(checkpoint.header["config"], where=str(checkpoint.path)), overrides)
    config = build_run_config(values, where=f"{checkpoint.path} with --set")
    if config.system != checkpoint.header["system"]:
        raise ConfigError(f"--set system: the checkpoint {checkpoint.path} is of '{checkpoint.header['system']}'")
    return replace(checkpoint, header=checkpoint.header | {"config": config.to_yaml()})


def _choose_rows(
    store: EventStore, checkpoint: Checkpoint, splits: Sequence[str], report: InferReport
) -> dict[str, list[int]]:
    """Return split -> rows."""
    for name in splits:
        if name not in (*SPLITS, "all"):
            raise ConfigError(f"unknown split '{name}'.{nearest(name, (*SPLITS, 'all'))}")
    own_store = checkpoint.header["data_fingerprint"] == store.fingerprint()
    if "all" in splits and not own_store:
        return {"all": list(range(len(store)))}
    data = checkpoint.config.data
    names = SPLITS if "all" in splits else tuple(dict.fromkeys(splits))
    chosen = {name: split_rows(store, data, name) for name in names}
    for name in [name for name, rows in chosen.items() if not rows]:
        if "all" not in splits:
            raise DataError(f"{store.path}: no event is in split '{name}'")
        del chosen[name]
        report.notes.append(f"split {name} is empty: skipped")
    if "all" in splits:
        rest = len(store) - sum(len(rows) for rows in chosen.values())
        if rest:
            report.notes.append(f"{rest} events belong to no split of the training: skipped")
    return chosen


def _meta(
    checkpoint: Checkpoint, reconstruct: Reconstructor, store: EventStore, *, save_embedding: bool, save_edges: bool
) -> dict[str, Any]:
    """Return the record that travels with the results."""
    config = checkpoint.config
    model = parse_yaml(checkpoint.header["config"], where=str(checkpoint.path))["model"]
    return {
        "checkpoint_fingerprint": checkpoint.fingerprint,
        "store_fingerprint": store.fingerprint(),
        "checkpoint": checkpoint.path.name,
        "store": str(store.path.resolve()),
        "system": config.system,
        "grouping": model.get("grouping", {name: model[name] for name in WORKING_POINT if name in model}),
        "hard_cuts": dump_yaml(config.data.cuts).strip(),
        "truth_selected_input": reconstruct.truth_selected_input,
        "evaluation": config.evaluation_yaml(),
        "save_embedding": save_embedding,
        "save_edges": save_edges or None,  # None as in results from before edges were stored
        "precision": "float32",
        "hardware": hardware(reconstruct.device),
        "num_threads": torch.get_num_threads(),
        "versions": {"hitloom": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
    }


def hardware(device: torch.device) -> str:
    """Return the processor that computes, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads"
