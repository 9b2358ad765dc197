"""Samples of TICL's linking code: folders in and out, order, ids, scalers, safety."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from torch_geometric.data import Data

from hitloom.data.convert import convert
from hitloom.data.processed_folder import open_processed, read_processed, sample_of, write_processed
from hitloom.data.store import EventStore
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import DataError
from trackster_toy import toy_trackster_event

KEPT = ("pos", "energy", "time", "edge_index", "edge_attr", "edge_y", "object_index")


def events(number: int = 12):
    return [toy_trackster_event(seed, num_particles=3, num_pileup=2) for seed in range(number)]


def dataset(folder, samples):
    """Write a dataset as the original does: numbered files, the mark, the scalers."""
    (folder / "processed").mkdir(parents=True)
    for row, sample in enumerate(samples):
        torch.save(sample, folder / "processed" / f"data_{row}.pt")
    (folder / "processed" / "DONE").touch()
    torch.save(torch.full((29,), 2.0), folder / "node_scaler.pt")
    torch.save(torch.full((5,), 3.0), folder / "edge_scaler.pt")


def test_every_event_in_the_order_of_the_numbers(tmp_path):
    """Defect 10: n in = n out, data_10 after data_9, ids unique."""
    made = events()
    dataset(tmp_path / "set", [sample_of(event) for event in made])
    for source in (tmp_path / "set", tmp_path / "set" / "processed"):
        back = list(read_processed(source))
        assert [event.event_id for event in back] == list(range(12))
        for one, other in zip(made, back, strict=True):
            assert torch.equal(one.x[:, :29], other.x)
            for name in KEPT:
                assert torch.equal(one[name], other[name]), name
            matched = one.object_index[one.object_index >= 0]
            assert torch.equal(one.object_is_signal[matched], other.object_is_signal[matched])
    assert open_processed(tmp_path / "set").scalers == {"node_scaler": [2.0] * 29, "edge_scaler": [3.0] * 5}
    assert [event.event_id for event in read_processed(tmp_path / "set", skip=9, limit=2)] == [9, 10]


def test_columns_of_the_sample():
    event = toy_trackster_event(1, num_pileup=3)
    event.object_index[0] = -1
    sample = sample_of(event)
    assert torch.equal(sample.edge_index[:, 0], event.edge_index[1])  # outer
    assert torch.equal(sample.edge_index[:, 1], event.edge_index[0])  # inner
    assert bool((event.pos[sample.edge_index[:, 0], 2].abs() > event.pos[sample.edge_index[:, 1], 2].abs()).all())
    assert sample.isPU[0] == -1  # unmatched: neither signal nor pile-up
    for row in range(1, event.num_points):
        match = int(event.object_index[row])
        assert int(sample.isPU[row]) == (-1 if match < 0 else int(not event.object_is_signal[match]))
    first, second = sample.isPU[sample.edge_index.T]
    known = (first >= 0) & (second >= 0)
    assert torch.equal(sample.PU_info[:, 0], known & (first != second))
    assert torch.equal(sample.PU_info[:, 1], known & (first == 0) & (second == 0))
    assert torch.equal(sample.PU_info[:, 2], known & (first == 1) & (second == 1))
    inner = set(range(event.num_points)) - set(event.edge_index[1].tolist())
    assert set(sample.roots.tolist()) == inner


def test_without_cluster_objects_are_groups_of_true_edges(tmp_path):
    sample = Data(
        x=torch.zeros(5, 29),
        edge_index=torch.tensor([[1, 0], [2, 1], [4, 3], [3, 0]]),
        edge_features=torch.zeros(4, 5),
        y=torch.tensor([0.5, 0.2, 0.0, 0.0]),
        isPU=torch.tensor([1, 1, 1, 0, 0]),
    )
    dataset(tmp_path / "set", [sample])
    event = next(read_processed(tmp_path / "set"))
    assert event.object_index.tolist() == [0, 0, 0, -1, -1]
    assert event.object_is_signal.tolist() == [False]
    del sample.isPU
    dataset(tmp_path / "other", [sample])
    assert "object_is_signal" not in next(read_processed(tmp_path / "other"))


def test_scalers_are_of_training_events_without_times_that_are_none(tmp_path):
    """Defect 9: largest absolute value, 1 for a column of zeros, -99 left out, the same in every split."""
    made = events(4)
    for event in made:
        event.x[:, NODE_FEATURES.index("muon_prob")] = 0.0
    split_of = {0: "train", 1: "train", 2: "test", 3: "val"}
    assert write_processed(made, tmp_path / "out", split_of=split_of) == {"train": 2, "val": 1, "test": 1}
    train = torch.cat([event.x[:, :29] for event in made[:2]])
    train[train[:, 28] == -99, 28] = 0
    wanted = train.abs().amax(0)
    wanted[NODE_FEATURES.index("muon_prob")] = 1
    for split in ("train", "val", "test"):
        assert torch.equal(torch.load(tmp_path / "out" / split / "node_scaler.pt", weights_only=True), wanted)
        edge = torch.load(tmp_path / "out" / split / "edge_scaler.pt", weights_only=True)
        assert torch.equal(edge, torch.cat([event.edge_attr for event in made[:2]]).abs().amax(0))
    assert float(wanted[28]) < 99


def test_from_a_store_and_back(tmp_path):
    made = events(5)
    split_of = {0: "train", 1: "train", 2: "train", 3: "val", 4: "test"}
    write_processed(made, tmp_path / "out", split_of=split_of)
    assert convert(tmp_path / "out", tmp_path / "store") == 5
    store = EventStore(tmp_path / "store")
    assert [len(store.indices(name)) for name in ("train", "val", "test")] == [3, 1, 1]
    assert len(store.provenance["node_scaler"]) == 29
    convert(tmp_path / "store", tmp_path / "again", target_format="processed")
    for split in ("train", "val", "test"):
        pairs = zip(read_processed(tmp_path / "out" / split), read_processed(tmp_path / "again" / split), strict=True)
        for one, other in pairs:
            assert torch.equal(one.x, other.x)
            assert torch.equal(one.edge_index, other.edge_index)
            assert torch.equal(one.object_index, other.object_index)
    with pytest.raises(DataError, match="already exists"):
        write_processed(made, tmp_path / "out")
    write_processed(made, tmp_path / "out", overwrite=True)


def test_mistakes(tmp_path, caplog):
    with pytest.raises(DataError, match="no data_<i>.pt"):
        open_processed(tmp_path)
    event = toy_trackster_event(0)
    dataset(tmp_path / "set", [sample_of(event)])
    (tmp_path / "set" / "processed" / "DONE").unlink()
    with caplog.at_level(logging.WARNING):
        open_processed(tmp_path / "set")
    assert "may be unfinished" in caplog.text
    first = tmp_path / "set" / "processed" / "data_0.pt"

    def refused(sample, message):
        torch.save(sample, first)
        with pytest.raises(DataError, match=message) as caught:
            list(read_processed(tmp_path / "set"))
        assert "data_0.pt" in str(caught.value) or "processed" in str(caught.value)

    good = sample_of(event)
    for name in ("x", "edge_index", "edge_features", "y"):
        bad = good.clone()
        del bad[name]
        refused(bad, f"tensor '{name}' is missing")
    bad = good.clone()
    bad.x = bad.x[:, :20]
    refused(bad, r"'x' has shape \(\d+, 20\); \(N, 29\) was wanted")
    bad = good.clone()
    bad.edge_index = bad.edge_index.T
    refused(bad, r"'edge_index' has shape")
    bad = good.clone()
    bad.edge_index = bad.edge_index + 1000
    refused(bad, "edge_index")
    bad = good.clone()
    bad.x[0, 0] = float("nan")
    refused(bad, "NaN")
    refused(torch.zeros(3), "holds Tensor")
    torch.save(good, first)
    torch.save(json.JSONDecoder, tmp_path / "set" / "node_scaler.pt")
    with pytest.raises(DataError, match="refused"):
        open_processed(tmp_path / "set")
    torch.save(torch.tensor([1.0, float("nan")]), tmp_path / "set" / "node_scaler.pt")
    with pytest.raises(DataError, match="one finite number"):
        open_processed(tmp_path / "set")
    bare = toy_trackster_event(0)
    del bare.edge_y
    with pytest.raises(DataError, match="'edge_y' is needed"):
        write_processed([bare], tmp_path / "out")
    with pytest.raises(DataError, match="no event to write"):
        write_processed([], tmp_path / "out")
    assert not (tmp_path / "out").exists()
