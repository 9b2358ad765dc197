"""Smaller problems: by object, by point, by label."""

from __future__ import annotations

import pytest
import torch
from data_toy import same_event, toy_event

from hitloom.data.thinning import cut_labels, select_objects, thin_by_object, thin_by_point
from hitloom.errors import DataError


def tracks(event):
    """Object id -> set of point ids."""
    return {
        int(object_id): set(event.point_id[event.object_index == row].tolist())
        for row, object_id in enumerate(event.object_id)
    }


@pytest.fixture
def event():
    return toy_event(5, num_objects=40, num_noise=200)


def test_by_object_tracks_stay_whole(event):
    thin = thin_by_object(event, 0.4, seed=2).validate()
    whole = tracks(event)
    assert {object_id: whole[object_id] for object_id in tracks(thin)} == tracks(thin)
    assert 5 < thin.num_objects < 30
    assert 40 < int((thin.object_index < 0).sum()) < 130
    assert thin.object_num_points.tolist() == [len(points) for points in tracks(thin).values()]
    ends = thin.object_id[thin.object_index[thin.truth_edge_index]]
    assert torch.equal(ends[0], ends[1])
    assert thin.truth_edge_index.shape[1] == sum(max(len(points) - 1, 0) for points in tracks(thin).values())
    same_event(thin, thin_by_object(event, 0.4, seed=2))
    assert thin.provenance != thin_by_object(event, 0.4, seed=3).provenance


def test_by_object_everything_and_nothing(event):
    whole = thin_by_object(event, 1.0)
    assert torch.equal(whole.point_id, event.point_id)
    nothing = thin_by_object(event, 0.0).validate()
    assert (nothing.num_points, nothing.num_objects) == (0, 0)


def test_by_point_counts_anew_and_keeps_the_weights(event):
    thin = thin_by_point(event, 0.5, seed=1).validate()
    assert thin.num_objects == event.num_objects
    assert thin.object_num_points.tolist() == [len(points) for points in tracks(thin).values()]
    kept = torch.isin(event.point_id, thin.point_id)
    assert torch.equal(thin.point_weight, event.point_weight[kept])
    assert float(thin.point_weight.sum()) < 0.8
    assert 0.4 < thin.num_points / event.num_points < 0.6


@pytest.mark.parametrize("function", [thin_by_object, thin_by_point])
def test_impossible_fractions(event, function):
    with pytest.raises(DataError, match=r"fraction: a value within 0 \.\. 1"):
        function(event, 1.5)


def test_labels_alone(event):
    cut = cut_labels(event, {"object_pt": [1, ".inf"], "object_generation": ["is", 0]}).validate()
    assert torch.equal(cut.pos, event.pos)
    good = {
        int(object_id)
        for object_id, pt in zip(event.object_id, event.object_pt, strict=True)
        if pt >= 1 and (int(object_id) >> 24) & 0xFFF == 0
    }
    assert set(cut.object_id.tolist()) == good
    assert 0 < len(good) < event.num_objects
    whole = tracks(event)
    assert tracks(cut) == {object_id: whole[object_id] for object_id in good}
    assert cut.provenance_dict()["label_cuts"]


def test_shares_follow_their_objects():
    event = toy_event(1, num_objects=2)
    event.share_index = torch.tensor([[0, 0, 1], [0, 1, 2]])
    event.share_fraction = torch.tensor([0.6, 0.4, 1.0])
    kept = select_objects(event, torch.tensor([False, True, True])).validate()
    assert kept.share_index.tolist() == [[0, 1], [0, 1]]
    assert kept.share_fraction.tolist() == pytest.approx([0.4, 1.0])
    with pytest.raises(DataError, match="boolean mask"):
        select_objects(event, torch.tensor([True]))
