"""The events of a run: opened from the store, divided, cut, and checked against what the system needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.training.run_config import DataSection

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class RunData:
    """Training and validation events; any sequence of events will do.

    Attributes
    ----------
    train, val : sequence of Event
    fingerprint : str
        Identity of the data, written into checkpoints.
    transform : callable or None
        ``transform(event, generator)``, applied to training events as they are drawn (the phi wedge).
    """

    train: Sequence[Event]
    val: Sequence[Event] = field(default_factory=list)
    fingerprint: str = ""
    transform: Callable[..., Event] | None = None


class StoredEvents(Sequence[Event]):
    """Events of a store by their rows, with the hard cuts applied as they are read."""

    def __init__(self, store: Any, rows: Sequence[int], cuts: Callable[[Event], Event] | None = None) -> None:
        self.store, self.rows, self.cuts = store, list(rows), cuts

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        event = self.store[self.rows[index]]
        return event if self.cuts is None else self.cuts(event)


def open_data(config: DataSection) -> RunData:
    """Open the store of a run, divide it and put the hard cuts and the wedge in place.

    Raises
    ------
    ConfigError
        When no store is named.
    DataError
        When the store cannot be read or a split asks for more than it holds.
    """
    from hitloom.data.store import EventStore

    if config.store is None:
        raise ConfigError("data.store: no event store is named; mend: give its path, or --set data.store=PATH")
    store = EventStore(config.store)
    raise NotImplementedError(store)
