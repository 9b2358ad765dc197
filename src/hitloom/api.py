"""The command line as a library: load, read, reconstruct, evaluate.

>>> import hitloom
>>> system = hitloom.load("eggnet-small")                        # doctest: +SKIP
>>> events = hitloom.read_events("events")                       # doctest: +SKIP
>>> results = [system(event) for event in events]                # doctest: +SKIP
>>> metrics = hitloom.evaluate(results, events, output="report") # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitloom.data.store import EventStore
    from hitloom.event import Event
    from hitloom.result import Result
    from hitloom.training.infer import InferReport
    from hitloom.training.reconstruct import Reconstructor
    from hitloom.training.train import TrainOutcome


def load(checkpoint: str | Path, *, accelerator: str = "auto") -> Reconstructor:
    """Return a trained system that turns an event into a result: ``load("eggnet-small")(event)``.

    Parameters
    ----------
    checkpoint : file, run folder (its best), or the name of shipped weights
    accelerator : str
        auto, cpu or cuda.

    Raises
    ------
    CheckpointError
        When it is missing, damaged or of another version.
    """
    from hitloom.training.reconstruct import Reconstructor

    return Reconstructor(checkpoint, accelerator=accelerator)


def read_events(store: str | Path) -> EventStore:
    """Return the events of a store, a sequence that reads one at a time.

    Raises
    ------
    DataError
        When the path is no event store.
    """
    from hitloom.data.store import EventStore

    return EventStore(store)


def train(
    recipe: str | Path,
    store: str | Path | None = None,
    *,
    output: str | Path | None = None,
    overrides: Sequence[str] = (),
    resume: bool = False,
    checkpoint: str | Path | None = None,
    init_from: str | Path | None = None,
) -> TrainOutcome:
    """Train a system as ``hitloom train`` does; the outcome names the best checkpoint.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        One line.
    """
    from hitloom.training.run_data import open_data
    from hitloom.training.start import plan_start
    from hitloom.training.train import train as run

    start = plan_start(
        recipe,
        overrides=overrides,
        store=store,
        output=output,
        resume=resume,
        checkpoint=checkpoint,
        init_from=init_from,
    )
    data = open_data(start.config.data)
    return run(start.config, output=start.folder, data=data, resume=start.resume, init=start.init)


def infer(
    checkpoint: str | Path,
    store: str | Path,
    *,
    output: str | Path,
    splits: Sequence[str] = ("all",),
    accelerator: str = "auto",
    limit: int | None = None,
    redo: bool = False,
    overrides: Sequence[str] = (),
) -> InferReport:
    """Reconstruct a store as ``hitloom infer`` does.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        One line.
    """
    from hitloom.training.infer import infer as run

    return run(
        checkpoint,
        store,
        output=output,
        splits=splits,
        accelerator=accelerator,
        limit=limit,
        redo=redo,
        overrides=overrides,
    )


def evaluate(
    results: str | Path | Iterable[Result],
    events: str | Path | Iterable[Event] | None = None,
    *,
    split: str | None = None,
    output: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what ``metrics.json`` holds, for a folder of results or results in memory; write the report where asked.

    Raises
    ------
    DataError, ConfigError
        One line.
    """
    from hitloom.config import build
    from hitloom.report.evaluate import evaluate_results
    from hitloom.report.family import family_of
    from hitloom.report.sources import open_events, open_results

    opened = open_results(results, split=split)
    where = events if events is not None else opened.events
    if where is not None and not isinstance(where, str | Path):
        where = open_events(where, where=opened.name).items  # can be gone through again
    kind = family_of(open_events(where, where=opened.name, split=split).items)
    config = build(kind.config_class, settings or {}, where="evaluation settings")
    return evaluate_results(opened, events=where, split=split, config=config, output=output, family=kind.name)
