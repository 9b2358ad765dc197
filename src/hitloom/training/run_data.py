"""The events of a run: opened from the store, divided, cut, and checked against what the system needs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Batch

from hitloom.data.collation import collate_events
from hitloom.data.conditions import Conditions
from hitloom.data.edge_rules import TRUTH_CUT_WARNING
from hitloom.data.loaders import Transform
from hitloom.data.splits import hash_numbers
from hitloom.data.store import EventStore
from hitloom.data.transforms import EtaSlab, PhiWedge, eta_slab, event_generator, hard_cut, phi_wedge
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.training.run_config import DataSection

log = logging.getLogger("hitloom")

SPLITS = ("train", "val", "test")
SMALL_STORE = 512 * 2**20  # bytes of the fields; such a store is read into memory


@dataclass(frozen=True, kw_only=True)
class RunData:
    """Training and validation events; any sequence of events will do.

    Attributes
    ----------
    train, val : sequence of Event
    fingerprint : str
        Identity of the data, written into checkpoints.
    transforms : sequence of callables
        ``transform(event, generator)``, applied to training events as they are drawn (the phi wedge).
    """

    train: Sequence[Event]
    val: Sequence[Event] = field(default_factory=list)
    fingerprint: str = ""
    transforms: Sequence[Transform] = ()


class StoredEvents(Sequence[Event]):
    """Events of a store by their rows, cut as they are read, and a fixed wedge or slab where asked."""

    def __init__(
        self,
        store: EventStore,
        rows: Sequence[int],
        *,
        hard_cuts: Mapping[str, Any],
        wedge: PhiWedge | None = None,
        slab: EtaSlab | None = None,
        seed: int = 0,
    ) -> None:
        self.store, self.rows, self.wedge, self.slab, self.seed = store, list(rows), wedge, slab, seed
        self.cuts = Conditions.parse(hard_cuts, where="data.hard_cuts")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        event = hard_cut(self.store[self.rows[index]], self.cuts)
        if self.wedge is None and self.slab is None:
            return event
        generator = event_generator(self.seed, 0, int(event.event_id))
        if self.slab is not None:
            event = eta_slab(event, self.slab, generator=generator)
        if self.wedge is None:
            return event
        cut = phi_wedge(event, self.wedge, generator=generator)
        return event.select_points(torch.zeros(event.num_points, dtype=torch.bool)) if cut is None else cut

    @property
    def num_points(self) -> NDArray[np.int64]:
        """(B,) points of each event in the store, before any cut."""
        return self.store.num_points[self.rows]

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the batch of these events."""
        if self.cuts.items or self.wedge is not None or self.slab is not None:
            return collate_events([self[index] for index in indices])
        return self.store.batch([self.rows[index] for index in indices])


class RandomWedge:
    """A phi wedge anew for every draw of a training event; see :class:`hitloom.data.transforms.PhiWedge`."""

    def __init__(self, config: PhiWedge) -> None:
        self.config = config

    def __call__(self, event: Event, generator: torch.Generator) -> Event | None:
        return phi_wedge(event, self.config, generator=generator)


class RandomSlab:
    """A slab in eta anew for every draw of a training event; see :class:`hitloom.data.transforms.EtaSlab`."""

    def __init__(self, config: EtaSlab) -> None:
        self.config = config

    def __call__(self, event: Event, generator: torch.Generator) -> Event:
        return eta_slab(event, self.config, generator=generator)


def split_rows(store: EventStore, config: DataSection, split: str) -> list[int]:
    """Return the rows of a split: by ``data.split`` where given, else as the store records it."""
    if config.split is None:
        return store.indices(split)
    if any(isinstance(part, float) for part in config.split):
        return store.indices(split, fractions=config.split, seed=config.split_seed)
    return store.indices(split, counts=[int(part) for part in config.split], seed=config.split_seed)


def sizes_of(events: Sequence[Event]) -> Sequence[int]:
    """Return the number of points of each event, from the footers of the store where they come from one."""
    known = getattr(events, "num_points", None)
    return [event.num_points for event in events] if known is None else known


def sampled_rows(store: EventStore, rows: Sequence[int], fraction: float, seed: int) -> list[int]:
    """Return a share of the rows of a store, at least one: those whose event ids have the smallest hash of the seed."""
    if fraction >= 1 or not rows:
        return list(rows)
    ids = store.event_ids[list(rows)]
    order = np.lexsort((ids, hash_numbers(ids, seed)))
    return sorted(rows[place] for place in order[: max(1, round(fraction * len(rows)))])


def keep_in_memory(store: EventStore, cache: str) -> None:
    """Read a store into memory where ``data.cache`` says so; ``auto``: where it is small."""
    if cache != "off":
        store.keep_in_memory(max_bytes=None if cache == "on" else SMALL_STORE)


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
    if config.oracle_cuts:
        log.warning(TRUTH_CUT_WARNING)
    store = EventStore(config.store)
    keep_in_memory(store, config.cache)
    rows = {name: split_rows(store, config, name) for name in ("train", "val")}
    rows["train"] = sampled_rows(store, rows["train"], config.sampling_fraction, config.split_seed)
    wedge, slab = config.phi_wedge, config.eta_slab
    transforms: list[Transform] = [] if slab is None else [RandomSlab(slab)]
    transforms += [] if wedge is None else [RandomWedge(wedge)]
    return RunData(
        train=StoredEvents(store, rows["train"], hard_cuts=config.cuts),
        val=StoredEvents(store, rows["val"], hard_cuts=config.cuts, wedge=wedge, slab=slab, seed=config.split_seed),
        fingerprint=store.fingerprint(),
        transforms=tuple(transforms),
    )
