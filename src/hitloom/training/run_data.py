"""The events of a run: opened from the store, divided, cut, and checked against what the system needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from hitloom.data.store import EventStore
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

    def __init__(self, store: EventStore, rows: Sequence[int], hard_cuts: Mapping[str, Any]) -> None:
        self.store, self.rows, self.hard_cuts = store, list(rows), dict(hard_cuts)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        event = self.store[self.rows[index]]
        if self.hard_cuts:
            event = event.select_points(hard_cut_mask(event, self.hard_cuts))
        return event


def hard_cut_mask(event: Event, hard_cuts: Mapping[str, Any]) -> Tensor:
    """Return (N,) bool, the points that pass all conditions; noise fails any condition on its particle."""
    from hitloom.data.conditions import Conditions

    return Conditions(hard_cuts).point_mask(event)


def split_rows(store: EventStore, config: DataSection, split: str) -> list[int]:
    """Return the rows of a split: by ``data.split`` where given, else as the store records it."""
    if config.split is None:
        return store.indices(split)
    if any(isinstance(part, float) for part in config.split):
        return store.indices(split, fractions=config.split, seed=config.split_seed)
    return store.indices(split, counts=[int(part) for part in config.split], seed=config.split_seed)


def open_data(config: DataSection) -> RunData:
    """Open the store of a run, divide it and put the hard cuts and the wedge in place.

    Raises
    ------
    ConfigError
        When no store is named.
    DataError
        When the store cannot be read.
    """
    if config.store is None:
        raise ConfigError("data.store: no event store is named; mend: give its path, or --set data.store=PATH")
    store = EventStore(config.store)
    train, val = (StoredEvents(store, split_rows(store, config, name), config.hard_cuts) for name in ("train", "val"))
    return RunData(train=train, val=val, fingerprint=store.fingerprint())
