"""Batches of events in an order that depends on the seed and the epoch alone.

Shape letters: B events of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch_geometric.data import Batch

from hitloom.data.collation import collate_events
from hitloom.data.loaders import EventDataset, Transform
from hitloom.errors import DataError
from hitloom.event import Event

SKIPPED = "skipped"


def step_seed(*parts: int) -> int:
    """Return a 63-bit seed from integers such as (seed, epoch, step, rank); equal parts give equal seeds."""
    state = np.random.SeedSequence([abs(int(part)) for part in parts]).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])


def collate(events: Sequence[Event] | Batch) -> Event | Batch:
    """Return a single event as it is, several as one batch."""
    if isinstance(events, Batch):
        return events
    return events[0] if len(events) == 1 else collate_events(events)


def taken(events: Sequence[Event], indices: Sequence[int]) -> Event | Batch:
    """Return the event of one index as it is, those of several as one batch."""
    if len(indices) == 1:
        return events[indices[0]]
    whole = getattr(events, "batch", None)
    found: Batch = collate_events([events[index] for index in indices]) if whole is None else whole(list(indices))
    return found


def portions(events: Sequence[Event], size: int) -> Iterator[Event | Batch]:
    """Yield events in order, ``size`` of them as one batch; a size of 1 yields the events."""
    for start in range(0, len(events), size):
        yield taken(events, range(start, min(start + size, len(events))))


class EpochBatches:
    """Lists of indices for one rank and epoch: a permutation by (seed, epoch), dealt to the ranks in turn.

    Every rank gets the same number of batches; the last ones repeat events from the front where they do not divide.
    What all ranks draw in a step is what one rank with so much larger batches would draw.

    With ``sizes`` the events of a batch are of like size: the permuted events are sorted by size in pools of
    ``_POOL`` batches, and the batches then come in an order of their own. The few events beyond the last whole batch
    are a batch of any size.
    """

    _POOL = 50

    def __init__(
        self,
        *,
        num_events: int,
        batch_size: int,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.num_events = num_events
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.sizes = None if sizes is None else np.asarray(sizes)
        self.epoch = 0

    def __len__(self) -> int:
        share = -(-self.num_events // self.world_size)
        return -(-share // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.num_events)
        random = np.random.default_rng(step_seed(self.seed, self.epoch, 1))
        if self.shuffle:
            order = random.permutation(order)
        if self.num_events:
            order = np.resize(order, -(-self.num_events // self.world_size) * self.world_size)
        step = self.batch_size * self.world_size
        batches = [order[start : start + step] for start in range(0, len(order), step)]
        if self.sizes is not None:
            batches = self._by_size(batches, random)
        for batch in batches:
            yield batch[self.rank :: self.world_size].tolist()

    def _by_size(self, batches: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
        assert self.sizes is not None
        step = self.batch_size * self.world_size
        whole = [batch for batch in batches if len(batch) == step]
        found: list[np.ndarray] = []
        for start in range(0, len(whole), self._POOL):
            pool = np.concatenate(whole[start : start + self._POOL])
            found += list(pool[np.argsort(self.sizes[pool], kind="stable")].reshape(-1, step))
        if self.shuffle:
            found = [found[place] for place in random.permutation(len(found))]
        return found + batches[len(whole) :]


class _Draw(torch.utils.data.Dataset):
    """Events as drawn in an epoch; the random numbers of the transforms depend on (seed, epoch, event id) only.

    The index carries the epoch, so that workers that outlive an epoch draw anew. An event that a transform leaves out
    (returns None) is replaced by the next one, so that every batch holds an event on every device.
    """

    def __init__(self, events: EventDataset) -> None:
        self.events = events

    def __getitem__(self, key: tuple[int, int]) -> Event:
        epoch, index = key
        num_events = len(self.events)
        for place in (*range(index, num_events), *range(index)):
            event = self.events.get(place, epoch)
            if event is not None:
                return event
        raise DataError("no training event is left after the random cut; mend: wider bounds in data.phi_wedge")

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[Event] | Batch:
        """Return the events of a batch, joined already where they can be taken out of memory so."""
        if self.events.transforms or len(keys) == 1:
            return [self[key] for key in keys]
        found: Batch = taken(self.events.store, [self.events.indices[index] for _, index in keys])
        return found


class _KeyedBatches:
    """Batches of (epoch, index), beginning after ``first``."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches
        self.first = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for number, indices in enumerate(self.batches):
            if number >= self.first:
                yield [(self.batches.epoch, index) for index in indices]


class EpochLoader:
    """Iterable over the batches of an epoch; the first ``num_skipped`` come as :data:`SKIPPED` without being read.

    ``set_epoch`` (called by Lightning through ``sampler``) selects the order; skipping holds for one pass only.
    """

    def __init__(
        self,
        events: Sequence[Event],
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        num_workers: int,
        transforms: Sequence[Transform] = (),
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.sampler = self
        self.batches = EpochBatches(
            num_events=len(events),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            sizes=sizes,
        )
        self.num_skipped = 0
        self._keys = _KeyedBatches(self.batches)
        self._loader: DataLoader[Any] = DataLoader(
            _Draw(EventDataset(events, transforms=transforms, seed=seed)),
            batch_sampler=self._keys,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            collate_fn=collate,
        )

    def share(self, *, rank: int, world_size: int) -> None:
        """Yield the batches of this device among several."""
        self.batches.rank, self.batches.world_size = rank, world_size

    def set_epoch(self, epoch: int) -> None:
        """Select the order of this epoch."""
        self.batches.epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        self._keys.first, self.num_skipped = self.num_skipped, 0
        for _ in range(self._keys.first):
            yield SKIPPED
        yield from self._loader
