"""The data contract: validation messages, batching laws, selection."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.errors import DataError
from hitloom.event import FIELDS, Event, field_table_markdown


def make_event(num_points: int = 5, num_objects: int = 2, seed: int = 0, event_id: int = 1) -> Event:
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(-1, num_objects, (num_points,), generator=generator) if num_objects else None
    if index is None:
        index = torch.full((num_points,), -1)
    edges = torch.randint(0, max(num_points, 1), (2, 2 * num_points), generator=generator)
    return Event(
        pos=torch.randn(num_points, 3, generator=generator),
        x=torch.randn(num_points, 2, generator=generator),
        feature_names=["a", "b"],
        point_id=torch.arange(num_points) * 3 + 10,
        object_index=index,
        object_id=torch.arange(num_objects) + 2**53,
        object_pt=torch.rand(num_objects, generator=generator),
        truth_edge_index=edges if num_points else torch.zeros(2, 0, dtype=torch.int64),
        part_x=torch.ones(2 * num_points, 1),
        part_feature_names=["value"],
        part_point_index=torch.arange(num_points).repeat(2),
        share_index=torch.stack([torch.arange(num_points), index.clamp(min=0)])[:, : num_points if num_objects else 0],
        share_fraction=torch.ones(num_points if num_objects else 0),
        event_id=event_id,
        source="test",
    )


def test_a_good_event_validates():
    assert make_event().validate().num_points == 5
    assert make_event(0, 0).validate().num_points == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pos", torch.zeros(4, 3), "N = 5"),
        ("pos", torch.zeros(5, 2), r"shape \(N,3\)"),
        ("pos", torch.full((5, 3), float("nan")), "NaN"),
        ("x", torch.zeros(5, 3), "3 columns but feature_names lists 2"),
        ("object_index", torch.full((5,), 2), "object row"),
        ("object_index", torch.full((5,), -2), "object row"),
        ("object_index", torch.zeros(5), "int64"),
        ("point_id", torch.zeros(5, dtype=torch.int64), "more than once"),
        ("truth_edge_index", torch.full((2, 1), 5), "point row"),
        ("truth_edge_index", torch.zeros(3, 1, dtype=torch.int64), r"\(2,T\)"),
        ("object_id", [1, 2], "must be a tensor"),
        ("share_index", torch.tensor([[0] * 5, [9] * 5]), "an object row"),
    ],
)
def test_a_broken_field_is_named_in_one_line(field, value, message):
    event = make_event()
    event[field] = value
    with pytest.raises(DataError, match=message) as caught:
        event.validate()
    assert "\n" not in str(caught.value)
    assert "test[event 1]" in str(caught.value)


def test_positions_are_required():
    with pytest.raises(DataError, match="'pos'"):
        Event(event_id=1).validate()


@given(sizes=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4)), min_size=1, max_size=4), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_batching_keeps_events_apart_and_noise_noise(sizes, seed):
    events = [make_event(n, k, seed + i, event_id=i) for i, (n, k) in enumerate(sizes)]
    batch = Batch.from_data_list(events)
    key = batch.object_key()
    own = torch.cat([event.object_index for event in events])
    assert torch.equal(key < 0, own < 0)
    same = (key[:, None] == key) & (key[:, None] >= 0)
    expected = (own[:, None] == own) & (own[:, None] >= 0) & (batch.batch[:, None] == batch.batch)
    assert torch.equal(same, expected)
    for position, event in enumerate(events):
        again = batch.get_example(position)
        for name in FIELDS:
            if name in event:
                assert torch.equal(again[name], event[name]), name


def test_select_points_renumbers_and_drops_what_lost_an_end():
    event = make_event(8, 3, seed=3)
    keep = torch.tensor([True, False, True, True, False, True, True, False])
    cut = event.select_points(keep).validate()
    assert cut.point_id.tolist() == event.point_id[keep].tolist()
    wanted = {tuple(event.point_id[e].tolist()) for e in event.truth_edge_index.T if bool(keep[e].all())}
    assert {tuple(cut.point_id[e].tolist()) for e in cut.truth_edge_index.T} == wanted
    assert torch.equal(cut.object_id, event.object_id)
    with pytest.raises(DataError, match="boolean mask"):
        event.select_points(keep.long())


def test_columns_by_name_and_a_missing_one_names_the_nearest():
    event = make_event()
    assert torch.equal(event.columns(["b", "a"]), event.x[:, [1, 0]])
    event.feature_names = ["cell_count", "cell_val"]
    with pytest.raises(DataError, match="Did you mean 'cell_val'"):
        event.columns(["cell_vol"])


def test_batches_of_different_features_are_refused():
    first, second = make_event(), make_event()
    second.feature_names = ["b", "a"]
    with pytest.raises(DataError, match="different feature_names"):
        Batch.from_data_list([first, second]).columns(["a"])


def test_the_field_table_lists_every_field():
    text = field_table_markdown()
    assert all(f"`{name}`" in text for name in FIELDS)


def calorimeter_event(num_parts: int = 4, event_id: int = 0) -> Event:
    """Two points; the last constituent is in none of them, constituent 0 in both."""
    return Event(
        pos=torch.zeros(2, 3),
        part_pos=torch.zeros(num_parts, 3),
        part_energy=torch.ones(num_parts),
        member_index=torch.tensor([[0, 0, 1], [0, 1, 1]]),
        member_fraction=torch.tensor([0.5, 0.5, 1.0]),
        part_share_index=torch.tensor([[0, num_parts - 1], [0, 0]]),
        part_share_fraction=torch.ones(2),
        object_id=torch.tensor([7]),
        object_index=torch.tensor([0, -1]),
        event_id=event_id,
    ).validate()


def test_memberships_and_shares_are_shifted_in_a_batch():
    batch = Batch.from_data_list([calorimeter_event(4, 0), calorimeter_event(3, 1)])
    assert batch.member_index.tolist() == [[0, 0, 1, 4, 4, 5], [0, 1, 1, 2, 3, 3]]
    assert batch.part_share_index.tolist() == [[0, 3, 4, 6], [0, 0, 0, 0]]


def test_a_cut_on_points_keeps_constituents_that_no_point_holds():
    kept = calorimeter_event().select_points(torch.tensor([False, True])).validate()
    assert kept.member_index.tolist() == [[0, 1], [0, 0]]
    assert kept.member_fraction.tolist() == [0.5, 1.0]
    assert kept.num_parts == 4
    assert kept.part_share_index.tolist() == [[0, 3], [0, 0]]


@pytest.mark.parametrize(
    ("field", "row", "message"),
    [("member_index", [4, 0], "a constituent row"), ("member_index", [0, 2], "a point row"),
     ("part_share_index", [0, 1], "an object row")],
)  # fmt: skip
def test_a_relation_to_a_row_that_is_not_there_is_named(field, row, message):
    event = calorimeter_event()
    event[field] = torch.tensor(row)[:, None].expand(2, event[field].shape[1]).clone()
    with pytest.raises(DataError, match=f"'{field}' row .*{message}"):
        event.validate()
