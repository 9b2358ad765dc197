"""Splits: stable, independent of order and company, exact by counts."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.splits import assign_split, divide, read_splits, take_split, write_splits
from hitloom.errors import DataError

ids_of_events = st.lists(st.integers(0, 2**62), unique=True, max_size=40)


@given(ids_of_events, st.randoms(), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_trackml_defect_13_a_split_depends_on_id_and_seed_alone(ids, random, seed):
    whole = dict(zip(ids, assign_split(ids, seed=seed).tolist(), strict=True))
    some = random.sample(ids, len(ids) // 2)
    assert dict(zip(some, assign_split(some, seed=seed).tolist(), strict=True)) == {i: whole[i] for i in some}


def test_the_hash_is_the_documented_one():
    digest = hashlib.blake2b(b"3:1001", digest_size=8).digest()
    number = int.from_bytes(digest, "big") / 2**64
    expected = "train" if number < 0.5 else "val" if number < 0.7 else "test"
    assert assign_split([1001], fractions=(0.5, 0.2, 0.3), seed=3).tolist() == [expected]


def test_shares_and_seeds():
    ids = np.arange(20_000)
    first, second = assign_split(ids), assign_split(ids, seed=1)
    for name, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert (first == name).mean() == pytest.approx(share, abs=0.01)
    assert 0.3 < (first != second).mean() < 0.4
    assert set(assign_split(ids, fractions=(0.3, 0.2, 0.1)).tolist()) == {"train", "val", "test", ""}
    assert set(assign_split(ids, fractions=(0.7, 0.2, 0.1)).tolist()) == {"train", "val", "test"}


@given(ids_of_events, st.randoms())
@settings(max_examples=60, deadline=None)
def test_eggnet_defect_28_counts_are_exact_and_sorted_before_taken(ids, random):
    counts = (len(ids) // 2, len(ids) // 4, len(ids) // 5)
    split = take_split(ids, counts)
    assert [int((split == name).sum()) for name in ("train", "val", "test")] == list(counts)
    shuffled = random.sample(ids, len(ids))
    again = dict(zip(shuffled, take_split(shuffled, counts).tolist(), strict=True))
    assert again == dict(zip(ids, split.tolist(), strict=True))


def test_eggnet_defect_28_fewer_events_than_asked_are_shared_and_told(caplog):
    with caplog.at_level(logging.WARNING, logger="hitloom.data.splits"):
        split = take_split(np.arange(26), (2000, 400, 200))
    assert [int((split == name).sum()) for name in ("train", "val", "test")] == [20, 4, 2]
    assert "2000" in caplog.text
    assert "26 are there" in caplog.text


@given(
    ids=st.lists(st.integers(0, 2**62), unique=True, min_size=3, max_size=12),
    random=st.randoms(),
    seed=st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_pruning_defect_18_three_events_or_more_fill_three_splits(ids, random, seed):
    shuffled = random.sample(ids, len(ids))
    for options in ({}, {"fractions": (0.75, 0.125, 0.125)}, {"counts": (2000, 400, 200)}, {"counts": (100, 1, 1)}):
        split = divide(ids, seed=seed, **options)
        sizes = [int((split == name).sum()) for name in ("train", "val", "test")]
        assert min(sizes) >= 1
        assert sum(sizes) == len(ids)
        again = dict(zip(shuffled, divide(shuffled, seed=seed, **options).tolist(), strict=True))
        assert again == dict(zip(ids, split.tolist(), strict=True))


@given(ids_of_events, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_pruning_defect_18_nothing_moves_where_no_split_would_be_empty(ids, seed):
    plain = assign_split(ids, seed=seed)
    found = divide(ids, seed=seed)
    empty = sum(not (plain == name).any() for name in ("train", "val", "test"))
    assert int((plain != found).sum()) == (empty if len(ids) >= 3 else 0)


def test_splits_that_were_not_asked_for_stay_empty():
    for options in ({"fractions": (0.5, 0.5, 0.0)}, {"counts": (9, 9, 0)}, {"fractions": (1.0, 0.0, 0.0)}):
        assert "test" not in divide([1, 2, 3, 4], **options).tolist()
    assert sorted(divide([1, 2, 3, 4], fractions=(0.01, 0.01, 0.01)).tolist()) == ["", "test", "train", "val"]


def test_lists_decide_where_the_source_did():
    assert divide([5, 6, 7], lists={"val": [7], "train": [5]}).tolist() == ["train", "", "val"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"fractions": (0.5, 0.6, 0.1)},
        {"fractions": (0.5, -0.1, 0.1)},
        {"fractions": (0.5, 0.5)},
        {"counts": (1, 2)},
        {"counts": (1, -2, 3)},
        {"fractions": (0.8, 0.1, 0.1), "counts": (1, 1, 1)},
    ],
)
def test_impossible_divisions_are_refused(arguments):
    with pytest.raises(DataError, match="wanted"):
        divide([1, 2, 3], **arguments)


def test_the_record_of_a_split(tmp_path):
    path = tmp_path / "splits.json"
    assert read_splits(path) == {}
    write_splits(path, fractions=(0.5, 0.25, 0.25), seed=9)
    assert read_splits(path) == {"seed": 9, "fractions": [0.5, 0.25, 0.25]}
    with pytest.raises(DataError):
        write_splits(path, fractions=(2.0, 0.0, 0.0))
    assert [entry.name for entry in tmp_path.iterdir()] == ["splits.json"]
    for text in ("{", '{"other": 1}', "[1]"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"splits\.json"):
            read_splits(path)
