"""Many small events: batches of like size, a share of the training events, a store in memory, validation in batches."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_system import Tiny, tiny_event
from torch_geometric.data import Batch
from training_toy import tiny_config

from hitloom.data.store import EventStore, EventWriter
from hitloom.training.batches import EpochBatches, EpochLoader
from hitloom.training.hardware import set_threads
from hitloom.training.run_config import DataSection
from hitloom.training.run_data import open_data, sizes_of
from hitloom.training.validation import rates_of, validate
from pruning_toy import toy_trackster

NUM_EVENTS = 40


def batches_of(epoch: int = 0, **options: Any) -> list[list[int]]:
    settings = {"num_events": 300, "batch_size": 8, "shuffle": True, "seed": 5} | options
    batches = EpochBatches(**settings)
    batches.epoch = epoch
    return list(batches)


SIZES = np.random.default_rng(0).integers(1, 200, 300)


# ---------------------------------------------------------------------- batches of like size


@given(
    num_events=st.integers(0, 70), batch_size=st.integers(1, 9), world_size=st.integers(1, 3), seed=st.integers(0, 9)
)
def test_every_event_is_drawn_and_every_rank_gets_as_many_batches(num_events, batch_size, world_size, seed):
    sizes = np.random.default_rng(seed).integers(1, 50, num_events)
    options = {"num_events": num_events, "batch_size": batch_size, "shuffle": True, "seed": seed, "sizes": sizes}
    ranks = [list(EpochBatches(rank=rank, world_size=world_size, **options)) for rank in range(world_size)]
    assert {len(rank) for rank in ranks} == {len(EpochBatches(world_size=world_size, **options))}
    drawn = sorted(itertools.chain.from_iterable(itertools.chain.from_iterable(ranks)))
    assert set(drawn) == set(range(num_events))
    assert len(drawn) - num_events == -num_events % world_size


def test_events_of_a_batch_are_of_like_size():
    def spread(batches: list[list[int]]) -> float:
        return float(np.mean([np.ptp(SIZES[batch]) for batch in batches]))

    assert spread(batches_of(sizes=SIZES)[:-1]) < 0.15 * spread(batches_of())


def test_the_order_depends_on_seed_and_epoch_alone():
    one = batches_of(sizes=SIZES)
    assert one == batches_of(sizes=SIZES)
    assert one != batches_of(sizes=SIZES, epoch=1)
    assert one != batches_of(sizes=SIZES, seed=6)
    sizes = [SIZES[batch[0]] for batch in one]
    assert sizes != sorted(sizes)  # small and large ones in turn


def test_with_several_pools_an_event_meets_others_in_another_epoch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(EpochBatches, "_POOL", 4)
    first, second = (next(set(batch) for batch in batches_of(e, sizes=SIZES) if 7 in batch) for e in (0, 1))
    assert len(first & second) < 4


@pytest.mark.parametrize("sizes", [None, SIZES])
def test_two_ranks_together_draw_what_one_does(sizes: Any):
    alone = batches_of(batch_size=8, sizes=sizes)
    pair = [batches_of(batch_size=4, sizes=sizes, rank=rank, world_size=2) for rank in range(2)]
    assert [sorted(batch) for batch in alone] == [sorted(a + b) for a, b in zip(*pair, strict=True)]


def test_without_shuffling_and_sizes_the_order_is_that_of_the_store():
    assert list(itertools.chain.from_iterable(batches_of(shuffle=False))) == list(range(300))


# ---------------------------------------------------------------------- the store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "store"
    with EventWriter(path, provenance={}) as writer:
        for number in range(NUM_EVENTS):
            writer.write(toy_trackster(1 + number % 7, number))
    return path


def loader_of(data: Any, **options: Any) -> EpochLoader:
    settings = {"batch_size": 4, "shuffle": True, "seed": 1, "num_workers": 0} | options
    return EpochLoader(data.train, transforms=data.transforms, **settings)


@pytest.mark.parametrize("cache", ["auto", "on", "off"])
def test_a_store_in_memory_gives_the_batches_of_the_files(store: Path, cache: str):
    data = open_data(DataSection(store=str(store), split=[18, 5, 5], cache=cache))
    plain = open_data(DataSection(store=str(store), split=[18, 5, 5], cache="off"))
    assert (data.train.store._memory is not None) is (cache != "off")
    for ours, theirs in zip(loader_of(data), loader_of(plain), strict=True):
        assert isinstance(ours, Batch)
        assert torch.equal(ours.x, theirs.x)
        assert torch.equal(ours.edge_index, theirs.edge_index)
        assert torch.equal(ours.event_id, theirs.event_id)


def test_a_large_store_stays_in_its_files_unless_told(store: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hitloom.training.run_data.SMALL_STORE", 10)
    assert open_data(DataSection(store=str(store))).train.store._memory is None
    assert open_data(DataSection(store=str(store), cache="on")).train.store._memory is not None


def test_hard_cuts_hold_in_a_batch_from_memory(store: Path):
    data = open_data(DataSection(store=str(store), split=[20, 5, 5], hard_cuts={"layer": [1, 24]}))
    for batch in loader_of(data):
        assert bool((batch.layer <= 24).all())


@pytest.mark.parametrize("num_workers", [0, 2])  # defect 15: no workers is a valid number of them
def test_workers_change_no_batch(store: Path, num_workers: int):
    data = open_data(DataSection(store=str(store), split=[18, 5, 5]))
    loader = loader_of(data, num_workers=num_workers, sizes=sizes_of(data.train))
    plain = loader_of(data, sizes=[event.num_points for event in data.train])
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        plain.set_epoch(epoch)
        assert [batch.event_id.tolist() for batch in loader] == [batch.event_id.tolist() for batch in plain]


def test_sizes_come_from_the_footers_of_the_files(store: Path, monkeypatch: pytest.MonkeyPatch):  # defect 16
    data = open_data(DataSection(store=str(store), split=[18, 5, 5], cache="off"))
    monkeypatch.setattr(EventStore, "read", lambda *_: pytest.fail("an event was read"))
    assert len(data.train) == len(sizes_of(data.train)) == 18


# ---------------------------------------------------------------------- a share of the training events


def test_a_share_of_the_training_events_is_a_random_choice_not_the_first(store: Path):  # defect 8
    def chosen(share: float, seed: int = 0) -> list[int]:
        settings = {"split": [30, 5, 5], "sampling_fraction": share, "split_seed": seed}
        data = open_data(DataSection(store=str(store), **settings))
        assert len(data.val) == 5
        return [int(event.event_id) for event in data.train]

    every, half, fifth = (chosen(share) for share in (1.0, 0.5, 0.2))
    assert (len(every), len(half), len(fifth)) == (30, 15, 6)
    assert set(fifth) < set(half) < set(every)
    assert half != every[:15]
    assert half == sorted(half) == chosen(0.5)
    assert set(half) != set(chosen(0.5, seed=1))
    assert len(chosen(0.001)) == 1


# ---------------------------------------------------------------------- validation in batches


class Batched(Tiny):
    """Its loss is the mean over events; its counts are sums over them."""

    batches_inference = True
    validates_partition = False

    def loss(self, scores: Any, event: Any) -> Any:
        from hitloom.losses.base import Loss

        graph = event.batch if "batch" in event else torch.zeros(event.num_points, dtype=torch.int64)
        size = torch.bincount(graph)
        own = torch.zeros(len(size)).index_add(0, graph, scores.embedding.square().sum(1)) / size
        return Loss(parts={"size": own.mean()})

    def validation_counts(self, scores: Any, event: Any) -> dict[str, float]:
        return {"points": float(event.num_points), "far": float((scores.embedding[:, 0] > 0).sum())}

    def validation_rates(self, sums: Any) -> dict[str, float]:
        return {"val_far": sums["far"] / sums["points"]}


def test_validation_in_batches_gives_what_single_events_give():
    system = Batched(tiny_config().model)
    events = [tiny_event(number, num_tracks=2 + number) for number in range(5)]
    options: dict[str, Any] = {"device": torch.device("cpu"), "seed": 0, "targets": {}}
    single = validate(system, enumerate(events), **options)
    joined = validate(system, [(0, Batch.from_data_list(events[:3])), (3, Batch.from_data_list(events[3:]))], **options)
    assert single["num_events"] == joined["num_events"] == 5
    assert rates_of(system, joined) == pytest.approx(rates_of(system, single), rel=1e-6)


# ---------------------------------------------------------------------- threads


def test_a_system_of_small_operations_gets_one_thread_and_a_word_against_more(caplog: pytest.LogCaptureFixture):
    before = torch.get_num_threads()
    logging.getLogger("hitloom").propagate = True
    try:
        assert set_threads(None, best=1) == torch.get_num_threads() == 1
        assert not caplog.records
        assert set_threads(2, best=1) == torch.get_num_threads() == 2
        assert "faster with 1" in caplog.text
    finally:
        torch.set_num_threads(before)
