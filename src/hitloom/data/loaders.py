"""Events from a store into training: datasets with transforms, and loaders whose order depends on (seed, epoch) alone.

Shape letter: B events of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import Batch

from hitloom.data.collation import collate_events
from hitloom.data.transforms import event_generator
from hitloom.errors import DataError
from hitloom.event import Event

Transform = Callable[[Event, torch.Generator], Event | None]


class EventDataset(Dataset[Event | None]):
    """Events of a store (or any sequence) by their rows.

    Each event of each epoch has its own random generator, made from (seed, epoch, event id): a transform draws the
    same whatever the order, the number of workers or the other events.

    Parameters
    ----------
    store : sequence of Event
        An :class:`~hitloom.data.store.EventStore`, or events in memory.
    indices : sequence of int or None
        Rows; None = all.
    transforms : sequence of callables
        ``transform(event, generator)``, applied in order; None as its result leaves the event out.
    fields : sequence of str or None
        Fields to read; None = all.
    seed : int
    """

    def __init__(
        self,
        store: Sequence[Event],
        indices: Sequence[int] | None = None,
        *,
        transforms: Sequence[Transform] = (),
        fields: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.store = store
        self.indices = list(range(len(store))) if indices is None else [int(index) for index in indices]
        self.transforms = tuple(transforms)
        self.fields = None if fields is None else tuple(fields)
        self.seed = seed
        if self.fields is not None and not hasattr(store, "read"):
            raise DataError("fields: can only be chosen from an event store, not from events in memory")
        wrong = [index for index in self.indices if not 0 <= index < len(store)]
        if wrong:
            raise DataError(f"indices: {wrong[0]} is no row of a store of {len(store)} events")

    def __len__(self) -> int:
        return len(self.indices)

    def get(self, place: int, epoch: int = 0) -> Event | None:
        """Return event ``place`` as transformed in an epoch, None when a transform leaves it out."""
        index = self.indices[place]
        event: Event | None = self.store[index] if self.fields is None else self.store.read(index, self.fields)  # type: ignore[attr-defined]
        if not self.transforms or event is None:
            return event
        event_id = int(event.event_id) if "event_id" in event else index
        generator = event_generator(self.seed, epoch, event_id)
        for transform in self.transforms:
            event = transform(event, generator)
            if event is None:
                return None
        return event

    def __getitem__(self, key: int | tuple[int, int]) -> Event | None:
        place, epoch = key if isinstance(key, tuple) else (key, 0)
        return self.get(place, epoch)


class _Keys:
    """Batches of (place, epoch) in the order of the epoch, from ``first`` on."""

    def __init__(self, num_events: int, batch_size: int, shuffle: bool, seed: int) -> None:
        self.num_events, self.batch_size, self.shuffle, self.seed = num_events, batch_size, shuffle, seed
        self.epoch = self.first = 0

    def __len__(self) -> int:
        return -(-self.num_events // self.batch_size) - self.first

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.arange(self.num_events)
        if self.shuffle:
            order = np.random.default_rng([abs(self.seed), self.epoch]).permutation(order)
        for start in range(self.first * self.batch_size, self.num_events, self.batch_size):
            yield [(int(place), self.epoch) for place in order[start : start + self.batch_size]]


def _collate(events: list[Event | None]) -> Batch | None:
    kept = [event for event in events if event is not None]
    return collate_events(kept) if kept else None


class EventLoader:
    """Iterable over PyG batches of an epoch; see :func:`event_loader`."""

    def __init__(self, keys: _Keys, loader: DataLoader[Any]) -> None:
        self._keys, self._loader = keys, loader

    def set_epoch(self, epoch: int, *, first_batch: int = 0) -> None:
        """Select the epoch, and the batch to begin with when a run is resumed within it."""
        if epoch < 0 or first_batch < 0:
            raise DataError(f"epoch and first_batch must not be negative, got {epoch} and {first_batch}")
        self._keys.epoch, self._keys.first = epoch, first_batch

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Batch]:
        return (batch for batch in self._loader if batch is not None)


def event_loader(
    dataset: EventDataset, *, batch_size: int = 1, shuffle: bool = False, seed: int = 0, num_workers: int = 0
) -> EventLoader:
    """Return a loader of PyG batches.

    The order is a function of (seed, epoch) alone, so a resumed run continues as if it had not stopped::

        loader.set_epoch(epoch, first_batch=37)

    Events that a transform leaves out are missing from their batch; a batch of none is skipped.

    Raises
    ------
    DataError
        When ``batch_size`` is below 1.
    """
    if batch_size < 1 or num_workers < 0:
        raise DataError(f"batch_size from 1 and num_workers from 0 were wanted, not {batch_size} and {num_workers}")
    keys = _Keys(len(dataset), batch_size, shuffle, seed)
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=keys,  # type: ignore[arg-type]
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        collate_fn=_collate,
    )
    return EventLoader(keys, loader)
