"""Loaders: order by seed and epoch, own draws for each event, resuming, workers."""

from __future__ import annotations

import math

import pytest
import torch
from data_toy import same_event, toy_event

from hitloom.data.loaders import EventDataset, event_loader
from hitloom.data.store import EventStore, EventWriter
from hitloom.data.transforms import PhiWedge, hard_cut, phi_wedge
from hitloom.errors import DataError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "store"
    with EventWriter(path, provenance={}, events_per_shard=4) as writer:
        for number in range(11):
            writer.write(toy_event(100 + number, num_objects=3 + number % 3))
    return EventStore(path)


def noisy(event, generator):
    event.pos = event.pos + torch.rand(event.pos.shape, generator=generator)
    return event


def ids(loader):
    return [batch.event_id.tolist() for batch in loader]


def test_eggnet_defect_24_the_order_is_a_function_of_seed_and_epoch(store):
    loader = event_loader(EventDataset(store), batch_size=4, shuffle=True, seed=5)
    assert len(loader) == 3
    first = ids(loader)
    assert first == ids(loader)
    assert [len(batch) for batch in first] == [4, 4, 3]
    assert sorted(sum_of(first)) == list(range(100, 111))
    loader.set_epoch(1)
    second = ids(loader)
    assert second != first
    fresh = event_loader(EventDataset(store), batch_size=4, shuffle=True, seed=5)
    fresh.set_epoch(1)
    assert ids(fresh) == second
    other = event_loader(EventDataset(store), batch_size=4, shuffle=True, seed=6)
    assert ids(other) != first
    assert sum_of(ids(event_loader(EventDataset(store), batch_size=2))) == list(range(100, 111))


def sum_of(lists):
    return [item for part in lists for item in part]


def test_a_resumed_epoch_goes_on_where_it_was(store):
    dataset = EventDataset(store, transforms=[noisy], seed=1)
    whole = event_loader(dataset, batch_size=3, shuffle=True, seed=1)
    whole.set_epoch(4)
    rest = event_loader(dataset, batch_size=3, shuffle=True, seed=1)
    rest.set_epoch(4, first_batch=2)
    assert len(rest) == 2
    for batch, again in zip(list(whole)[2:], rest, strict=True):
        assert torch.equal(batch.pos, again.pos)


def test_draws_do_not_depend_on_order_company_or_workers(store):
    alone = EventDataset(store, [6], transforms=[noisy], seed=3).get(0, epoch=2)
    dataset = EventDataset(store, transforms=[noisy], seed=3)
    assert alone is not None
    for num_workers in (0, 1):
        loader = event_loader(dataset, batch_size=5, shuffle=True, seed=9, num_workers=num_workers)
        loader.set_epoch(2)
        found = [event for batch in loader for event in batch.to_data_list() if int(event.event_id) == 106]
        assert torch.equal(found[0].pos, alone.pos)
    other_epoch = dataset.get(6, epoch=3)
    assert other_epoch is not None
    assert not torch.equal(other_epoch.pos, alone.pos)


def test_batches_hold_their_events(store):
    (batch,) = event_loader(EventDataset(store, [2, 7]), batch_size=2)
    for event, row in zip(batch.to_data_list(), (2, 7), strict=True):
        wanted = store[row]
        assert torch.equal(event.truth_edge_index, wanted.truth_edge_index)
        assert torch.equal(event.part_point_index, wanted.part_point_index)
        assert torch.equal(event.object_index, wanted.object_index)


def test_cuts_and_wedges_as_transforms(store):
    """An event without an acceptable wedge is left out; a batch of none is skipped."""
    strict = PhiWedge(min_points=20, max_points=22, max_tries=2, on_failure="skip")
    transforms = [
        lambda event, generator: hard_cut(event, {"object_pt": [0, math.inf]}),
        lambda event, generator: phi_wedge(event, strict, generator=generator),
    ]
    dataset = EventDataset(store, transforms=transforms, seed=2)
    kept = [event for event in (dataset[place] for place in range(len(dataset))) if event is not None]
    assert 0 < len(kept) < len(dataset)
    for event in kept:
        assert 20 <= event.num_points <= 22
        assert int((event.object_index < 0).sum()) == 0
    batches = list(event_loader(dataset, batch_size=1))
    assert [int(batch.event_id[0]) for batch in batches] == [int(event.event_id) for event in kept]


def test_fields_and_memory(store):
    event = EventDataset(store, fields=("pos", "x"))[3]
    assert event is not None
    assert "object_id" not in event
    same_event(event, store.read(3, ("pos", "x")))
    held = [toy_event(1), toy_event(2)]
    assert len(event_loader(EventDataset(held), batch_size=2)) == 1
    with pytest.raises(DataError, match="fields"):
        EventDataset(held, fields=("pos",))
    with pytest.raises(DataError, match="2 is no row"):
        EventDataset(held, [2])
    with pytest.raises(DataError, match="batch_size"):
        event_loader(EventDataset(held), batch_size=0)
    with pytest.raises(DataError, match="negative"):
        event_loader(EventDataset(held)).set_epoch(-1)
