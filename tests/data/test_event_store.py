"""The event store: what goes in comes out, to anyone; damage and half-written stores are told or never seen."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from data_toy import same_event, toy_event
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data import store_writer
from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import DataError
from hitloom.event import FIELDS, Event


@pytest.fixture
def events() -> list[Event]:
    return [toy_event(number, num_objects=number % 4, num_noise=3) for number in (3, 2**40, 9, 1, 12)]


@pytest.fixture
def folder(tmp_path, events):
    write(tmp_path / "store", events, events_per_shard=2)
    return tmp_path / "store"


def write(path, events, **settings):
    with EventWriter(path, provenance={"seed": 5, "name": "toy"}, **settings) as writer:
        for event in events:
            writer.write(event)


def test_what_goes_in_comes_out(folder, events):
    store = EventStore(folder)
    assert len(store) == 5
    for event, stored in zip(events, store, strict=True):
        same_event(event, stored)
    same_event(events[-1], store[-1])
    assert store.provenance == {"seed": 5, "name": "toy"}
    assert store.event_ids.tolist() == [event.event_id for event in events]
    assert store.num_points.tolist() == [event.num_points for event in events]
    assert store.num_objects.tolist() == [event.num_objects for event in events]
    assert len(sorted(folder.glob("*.parquet"))) == 3
    with pytest.raises(IndexError):
        store[5]


def test_every_declared_field_survives(tmp_path):
    """Built from the field table itself, so a new field is tested the day it is declared."""
    sizes = {"N": 4, "F": 3, "M": 6, "G": 2, "E": 5, "H": 1, "T": 2, "K": 3, "A": 4, "V": 7, "S": 8}
    event = Event(event_id=1, feature_names=list("abc"), part_feature_names=list("de"), edge_feature_names=["f"])
    rng = np.random.default_rng(0)
    for name, field in FIELDS.items():
        shape = [sizes.get(part, part) for part in field.shape]
        values = rng.integers(0, 3, shape)
        event[name] = torch.from_numpy(values).to(field.dtype)
    event.point_id = torch.arange(4) + 2**62
    event.part_id = torch.arange(6) + 2**62
    event.object_id = torch.tensor([2**53, 2**53 + 1, 9 * 10**17])
    event.object_is_signal = torch.tensor([True, False, True])
    write(tmp_path / "store", [event])
    same_event(event, EventStore(tmp_path / "store")[0])


@given(num_points=st.integers(0, 3), num_features=st.integers(0, 2), num_edges=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_small_and_empty_events(tmp_path_factory, num_points, num_features, num_edges):
    event = Event(
        event_id=0,
        pos=torch.zeros(num_points, 3),
        x=torch.ones(num_points, num_features),
        feature_names=[f"f{place}" for place in range(num_features)],
        edge_index=torch.zeros(2, num_edges if num_points else 0, dtype=torch.int64),
    )
    path = tmp_path_factory.mktemp("small") / "store"
    write(path, [event])
    same_event(event, EventStore(path)[0])


def test_trackml_defect_02_ids_that_a_float_would_merge_survive(tmp_path):
    event = toy_event()
    event.object_id = torch.arange(event.num_objects) + 2**53
    write(tmp_path / "store", [event])
    assert EventStore(tmp_path / "store")[0].object_id.tolist() == [2**53 + k for k in range(event.num_objects)]


def test_only_the_columns_asked_for_are_read(folder, events):
    store = EventStore(folder)
    event = store.read(1, ("pos", "object_id"))
    assert set(event.keys()) == {"pos", "object_id", "event_id", "source"}
    assert event.num_objects == events[1].num_objects
    assert store.read(1, ("x",)).feature_names == store.feature_names
    with pytest.raises(DataError, match=r"field 'object_pz' is not in the store. Did you mean 'object_p"):
        store.read(0, ("object_pz",))


def test_others_read_the_files_with_units(folder, events):
    pandas, awkward = pytest.importorskip("pandas"), pytest.importorskip("awkward")
    frame = pandas.read_parquet(folder)
    assert frame["event_id"].tolist() == [event.event_id for event in events]
    np.testing.assert_array_equal(np.stack(frame["pos"][2].reshape(-1, 3)), events[2].pos.numpy())
    arrays = awkward.from_parquet(folder)
    assert awkward.to_list(arrays["object_id"][0]) == events[0].object_id.tolist()
    column = pq.read_schema(folder / "events-00000.parquet").field("object_pt")
    assert column.metadata[b"unit"] == b"GeV"
    assert column.metadata[b"shape"] == b"K"


def test_the_fingerprint_is_of_the_events_and_not_of_the_files(tmp_path, folder, events):
    write(tmp_path / "other", events, events_per_shard=100)
    fingerprint = EventStore(folder).fingerprint()
    assert fingerprint == EventStore(tmp_path / "other").fingerprint()
    write(tmp_path / "fewer", events[:-1])
    renamed = [event.clone() for event in events]
    for event in renamed:
        event.feature_names = [name.upper() for name in event.feature_names]
    write(tmp_path / "renamed", renamed)
    prints = {EventStore(tmp_path / name).fingerprint() for name in ("fewer", "renamed")}
    assert len(prints | {fingerprint}) == 3


def test_a_store_travels_to_another_process(folder, events):
    store = EventStore(folder)
    store[0]
    same_event(pickle.loads(pickle.dumps(store))[4], events[4])


def test_a_single_file_is_a_store_too(folder, events):
    store = EventStore(folder / "events-00001.parquet")
    assert store.event_ids.tolist() == [events[2].event_id, events[3].event_id]
    assert sum(len(store.indices(split)) for split in ("train", "val", "test")) == 2


def test_indices_follow_the_recorded_division(folder):
    store = EventStore(folder)
    default = [store.indices(split) for split in ("train", "val", "test")]
    assert sorted(row for rows in default for row in rows) == [0, 1, 2, 3, 4]
    counted = [store.indices(split, counts=(2, 2, 1), seed=4) for split in ("train", "val", "test")]
    assert [len(rows) for rows in counted] == [2, 2, 1]
    (folder / "splits.json").write_text(json.dumps({"counts": [2, 2, 1], "seed": 4}))
    assert [EventStore(folder).indices(split) for split in ("train", "val", "test")] == counted
    with pytest.raises(DataError, match=r"unknown split 'valid'. Did you mean 'val'"):
        store.indices("valid")


class TestWriting:
    def test_an_exception_leaves_nothing_and_what_was_there(self, tmp_path, events):
        def broken():
            yield events[0]
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError):
            write(tmp_path / "store", broken())
        assert list(tmp_path.iterdir()) == []
        write(tmp_path / "store", events[:2])
        with pytest.raises(RuntimeError):
            write(tmp_path / "store", broken(), overwrite=True)
        assert len(EventStore(tmp_path / "store")) == 2
        assert [entry.name for entry in tmp_path.iterdir()] == ["store"]

    def test_overwrite_replaces_a_store_and_nothing_else(self, tmp_path, events):
        write(tmp_path / "store", events[:2])
        with pytest.raises(DataError, match="already exists"):
            write(tmp_path / "store", events)
        write(tmp_path / "store", events, overwrite=True)
        assert len(EventStore(tmp_path / "store")) == 5
        (tmp_path / "store" / "thesis.tex").write_text("years of work")
        with pytest.raises(DataError, match="not replaced"):
            write(tmp_path / "store", events, overwrite=True)
        assert (tmp_path / "store" / "thesis.tex").exists()

    def test_events_must_agree(self, tmp_path, events):
        other = events[1].clone()
        del other.point_weight
        with pytest.raises(DataError, match="lacks 'point_weight'"):
            write(tmp_path / "store", [events[0], other])
        renamed = events[1].clone()
        renamed.feature_names = ["q", *renamed.feature_names[1:]]
        with pytest.raises(DataError, match="feature_names is"):
            write(tmp_path / "store", [events[0], renamed])
        with pytest.raises(DataError, match="event id 3 came twice"):
            write(tmp_path / "store", [events[0], events[0]])
        odd = events[0].clone()
        odd.object_ptt = odd.object_pt
        with pytest.raises(DataError, match=r"'object_ptt' is not declared. Did you mean 'object_pt'"):
            write(tmp_path / "store", [odd])
        with pytest.raises(DataError, match="no event was written"):
            write(tmp_path / "store", [])
        assert list(tmp_path.iterdir()) == []

    def test_a_store_is_a_folder(self, tmp_path, events):
        with pytest.raises(DataError, match="folder of Parquet"):
            write(tmp_path / "store.parquet", events)


class TestDamage:
    def test_truncated_parquet(self, folder):
        shard = folder / "events-00001.parquet"
        shard.write_bytes(shard.read_bytes()[:-100])
        with pytest.raises(DataError, match=r"events-00001\.parquet: not a whole Parquet file"):
            EventStore(folder)

    def test_damaged_values_are_told_when_read(self, folder):
        shard = folder / "events-00000.parquet"
        data = bytearray(shard.read_bytes())
        data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
        shard.write_bytes(bytes(data))
        with pytest.raises(DataError, match=r"events-00000\.parquet"):
            EventStore(folder)[0]

    def test_wrong_folder_and_missing_shard(self, tmp_path, folder):
        with pytest.raises(DataError, match="no such event store"):
            EventStore(tmp_path / "nothing")
        with pytest.raises(DataError, match="not an event store"):
            EventStore(tmp_path)
        (folder / "events-00001.parquet").unlink()
        with pytest.raises(DataError, match=r"events-00001\.parquet is missing"):
            EventStore(folder)

    def test_other_parquet_and_older_version(self, tmp_path, events, monkeypatch):
        other = tmp_path / "events-00000.parquet"
        pq.write_table(pa.table({"a": [1]}), other)
        with pytest.raises(DataError, match="not a file of a hitloom event store"):
            EventStore(other)
        monkeypatch.setattr("hitloom.data.store_schema.FORMAT_VERSION", 0)
        write(tmp_path / "old", events)
        monkeypatch.undo()
        with pytest.raises(DataError, match=r"format version 0 .* mend: convert or simulate"):
            EventStore(tmp_path / "old")

    def test_missing_column(self, folder):
        for shard in folder.glob("*.parquet"):
            table = pq.read_table(shard).drop_columns(["pos"])
            pq.write_table(table, shard, row_group_size=1)
        with pytest.raises(DataError, match="column 'pos' is missing"):
            EventStore(folder)

    def test_shards_of_two_stores(self, tmp_path, folder):
        other = [toy_event(number, weights=False) for number in (50, 51)]
        write(tmp_path / "other", other)
        shutil.copy(tmp_path / "other" / "events-00000.parquet", folder / "events-00003.parquet")
        with pytest.raises(DataError, match=r"events-00003\.parquet: its columns or header differ"):
            EventStore(folder)


def test_a_store_without_statistics_is_read_all_the_same(folder, events):
    """Files that another tool rewrote."""
    for shard in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(shard), shard, row_group_size=1, write_statistics=False)
    store = EventStore(folder)
    assert store.event_ids.tolist() == [event.event_id for event in events]
    same_event(store[3], events[3])


def test_is_store_knows_its_own(folder, tmp_path):
    assert store_writer.is_store(folder)
    assert not store_writer.is_store(tmp_path)
