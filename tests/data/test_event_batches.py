"""Batches joined by the table of fields are PyG's, whatever the fields; events from memory are those of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.data.collation import collate_events
from hitloom.data.loaders import EventDataset, event_loader
from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import DataError
from hitloom.event import Event
from pruning_toy import toy_trackster


def full_event(num_points: int, event_id: int, *, num_parts: int = 4, num_objects: int = 2) -> Event:
    """Return an event with every way of shifting indices: by points, by points and not, by constituents and points."""
    event = toy_trackster(num_points, event_id)
    rng = torch.Generator().manual_seed(event_id)
    event.object_id = torch.arange(num_objects)
    event.object_is_signal = torch.arange(num_objects) == 0
    event.object_index = torch.randint(-1, num_objects, (num_points,), generator=rng)
    event.share_index = torch.stack([torch.arange(num_points), torch.zeros(num_points, dtype=torch.int64)])
    event.share_fraction = torch.rand(num_points, generator=rng)
    event.part_pos = torch.randn(num_parts, 3, generator=rng)
    event.part_share_index = torch.stack([torch.arange(num_parts), torch.zeros(num_parts, dtype=torch.int64)])
    event.part_share_fraction = torch.rand(num_parts, generator=rng)
    points = torch.randint(num_points, (num_parts,), generator=rng)
    event.member_index = torch.stack([torch.arange(num_parts), points])
    event.member_fraction = torch.rand(num_parts, generator=rng)
    return event.validate()


def assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    assert set(ours.keys()) == set(theirs.keys())
    for name in theirs.keys():  # noqa: SIM118 (no mapping)
        assert_equal(ours[name], theirs[name], name)


def assert_equal(ours: Any, theirs: Any, name: str) -> None:
    if not isinstance(theirs, torch.Tensor):
        assert ours == theirs, name
        return
    assert ours.dtype == theirs.dtype, name
    assert torch.equal(ours, theirs), name


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_a_joined_batch_is_pygs(sizes: list[int]):
    events = [full_event(size, number, num_parts=size % 4 + 1) for number, size in enumerate(sizes)]
    ours, theirs = collate_events(events), Batch.from_data_list(events)
    assert_same(ours, theirs)
    for one in ("_slice_dict", "_inc_dict"):
        assert getattr(ours, one).keys() == getattr(theirs, one).keys()
        for name, value in getattr(theirs, one).items():
            assert_equal(getattr(ours, one)[name], value, name)
    assert torch.equal(ours.object_key(), theirs.object_key())
    for own, event in zip(ours.to_data_list(), events, strict=True):
        assert_same(own, event)


def test_an_event_without_points_has_its_place_in_the_batch():
    events = [toy_trackster(3, 0), toy_trackster(2, 1).select_points(torch.zeros(2, dtype=torch.bool))]
    batch = collate_events([*events, toy_trackster(1, 2)])
    assert batch.ptr.tolist() == [0, 3, 3, 4]
    assert_same(batch, Batch.from_data_list([*events, toy_trackster(1, 2)]))


def test_events_with_a_field_of_their_own_are_batched_as_before():
    events = [toy_trackster(3, 0), toy_trackster(2, 1)]
    for event in events:
        event.extra_index = torch.arange(event.num_points)
    assert_same(collate_events(events), Batch.from_data_list(events))


def test_events_of_different_fields_cannot_share_a_batch():
    with pytest.raises(KeyError):
        collate_events([toy_trackster(3, 0), toy_trackster(3, 1, labelled=False)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "store"
    with EventWriter(path, provenance={"seed": 3}, events_per_shard=7) as writer:
        for number in range(30):
            writer.write(full_event(1 + number % 9, number, num_parts=1 + number % 3))
    return path


def test_events_kept_in_memory_are_those_of_the_files(store: Path):
    files, memory = EventStore(store), EventStore(store)
    assert memory.keep_in_memory()
    for index in (29, 0, 8, 8, -1):
        assert_same(memory[index], files[index])
    fields = ["energy", "edge_index", "x"]
    assert_same(memory.read(5, fields), files.read(5, fields))
    with pytest.raises(DataError, match="'enrgy' is not in the store"):
        memory.read(0, ["enrgy"])
    with pytest.raises(IndexError):
        memory[30]


def test_what_is_done_to_an_event_does_not_reach_the_memory(store: Path):
    memory = EventStore(store)
    memory.keep_in_memory()
    energy = memory[4].energy.clone()
    memory[4].energy.mul_(3)
    memory[4].feature_names.clear()
    assert torch.equal(memory[4].energy, energy)
    memory.batch([4]).energy.mul_(3)
    assert torch.equal(memory[4].energy, energy)
    assert len(memory[4].feature_names) == 9


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_batch_of_rows_is_the_batch_of_their_events(store: Path, in_memory: bool):
    events = EventStore(store)
    if in_memory:
        events.keep_in_memory()
    rows = [28, 3, 3, 17]
    assert_same(events.batch(rows), Batch.from_data_list([EventStore(store)[row] for row in rows]))
    with pytest.raises(IndexError):
        events.batch([0, 30])


def test_a_store_above_the_bound_stays_in_its_files(store: Path):
    events = EventStore(store)
    assert events.num_bytes > 30 * 9 * 4
    assert not events.keep_in_memory(max_bytes=events.num_bytes - 1)
    assert events.keep_in_memory(max_bytes=events.num_bytes)


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, 29), max_size=20))
def test_reading_ahead_changes_no_event(store: Path, rows: list[int]):
    events = EventStore(store)
    for row in [*rows, *range(30), 29, 0]:
        event = events[row]
        assert int(event.event_id) == row
        assert event.num_points == 1 + row % 9
        assert_same(event, full_event(1 + row % 9, row, num_parts=1 + row % 3))


def test_events_in_order_are_read_in_blocks_and_others_one_by_one(store: Path, monkeypatch: pytest.MonkeyPatch):
    import pyarrow.parquet as pq

    groups: list[int] = []
    whole = pq.ParquetFile.read_row_groups

    def counted(file: Any, rows: list[int], **options: Any) -> Any:
        groups.append(len(rows))
        return whole(file, rows, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    events = EventStore(store)
    assert sum(event.num_points for event in events) == sum(1 + number % 9 for number in range(30))
    assert groups == [7, 7, 7, 7, 2]
    groups.clear()
    for row in (20, 10, 25, 1):
        events.read(row)
    assert groups == [1, 1, 1, 1]


def test_large_events_are_not_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hitloom.data.store._AHEAD_POINTS", 100)
    with EventWriter(tmp_path / "store", provenance={}) as writer:
        for number in range(4):
            writer.write(toy_trackster(60, number))
    events = EventStore(tmp_path / "store")
    assert [events._num_ahead(place) for place in (0, 1)] == [1, 1]


def test_the_loader_of_events_in_memory_gives_what_pyg_gives(store: Path):
    events = [EventStore(store)[row] for row in range(10)]
    loader = event_loader(EventDataset(events), batch_size=4, shuffle=True, seed=2)
    order = np.random.default_rng([2, 0]).permutation(np.arange(10))
    for number, batch in enumerate(loader):
        assert_same(batch, Batch.from_data_list([events[row] for row in order[4 * number : 4 * number + 4]]))


def test_a_batch_goes_to_another_type_or_device_with_all_its_numbers(store: Path):
    batch = EventStore(store).batch([1, 2, 3])
    moved = batch.clone().to("meta")
    for name in batch.keys():  # noqa: SIM118 (no mapping)
        if isinstance(batch[name], torch.Tensor):
            assert moved[name].device.type == "meta", name
        else:
            assert moved[name] == batch[name]
    halved = batch.clone().apply(lambda value: value * 0, "x")
    assert not halved.x.any()
    assert halved.energy.any()
