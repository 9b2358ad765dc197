"""Truth of edges against set arithmetic, and the weights of truth edges."""

from __future__ import annotations

import pytest
import torch
from data_toy import toy_event
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.data.edge_labels import edge_truth, same_object, truth_edge_weights, truth_to_edge
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics import hit_weights

NUM_POINTS = 7
edge_lists = st.lists(st.tuples(st.integers(0, NUM_POINTS - 1), st.integers(0, NUM_POINTS - 1)), max_size=30)


def tensor(edges) -> torch.Tensor:
    return torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T


@given(edge_lists, edge_lists)
@settings(max_examples=150, deadline=None)
def test_truth_equals_set_arithmetic_in_either_direction(edges, truth):
    wanted = {frozenset(edge) for edge in truth}
    found = edge_truth(tensor(edges), tensor(truth), NUM_POINTS)
    assert found.tolist() == [frozenset(edge) in wanted for edge in edges]
    assert torch.equal(edge_truth(tensor(edges).flip(0), tensor(truth), NUM_POINTS), found)


@given(edge_lists, edge_lists)
@settings(max_examples=150, deadline=None)
def test_exatrkx_defect_27_a_missing_truth_edge_is_minus_one(edges, truth):
    sets = [frozenset(edge) for edge in edges]
    wanted = [sets.index(frozenset(edge)) if frozenset(edge) in sets else -1 for edge in truth]
    assert truth_to_edge(tensor(edges), tensor(truth), NUM_POINTS).tolist() == wanted


def test_exatrkx_defect_27_values_of_truth_edges_do_not_reach_the_last_edge():
    edges, truth = tensor([(0, 1), (2, 3), (4, 5)]), tensor([(1, 0), (5, 6)])
    place = truth_to_edge(edges, truth, NUM_POINTS)
    spread = torch.full((3,), float("nan"))
    spread[place[place >= 0]] = torch.tensor([7.0, 8.0])[place >= 0]
    assert spread.nan_to_num(-1).tolist() == [7.0, -1.0, -1.0]


def test_rows_far_apart_do_not_collide():
    last = 3_000_000_000
    edges = torch.tensor([[0, 1, last - 2], [last - 1, 0, last - 1]])
    assert edge_truth(edges, torch.tensor([[last - 1], [0]]), last).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("edges", "match"),
    [
        (torch.tensor([[0], [7]]), "7 is no row of the 7 points"),
        (torch.tensor([[-1], [2]]), "-1 is no row"),
        (torch.tensor([[0.0], [1.0]]), r"\(2, E\) of int64 was wanted, not \(2, 1\) of torch.float32"),
        (torch.zeros(3, 2, dtype=torch.int64), r"not \(3, 2\)"),
    ],
)
def test_edges_that_are_none(edges, match):
    for arguments in ((edges, tensor([])), (tensor([]), edges)):
        with pytest.raises(DataError, match=match):
            edge_truth(*arguments, NUM_POINTS)


def test_exatrkx_defect_09_noise_never_matches_noise():
    event = Event(
        pos=torch.zeros(5, 3), object_index=torch.tensor([-1, -1, 0, 0, 1]), object_id=torch.tensor([2**53, 2**53 + 1])
    )
    edges = tensor([(0, 1), (2, 3), (3, 4), (0, 2), (1, 1)])
    assert same_object(edges, event).tolist() == [False, True, False, False, False]


def test_objects_of_two_events_never_match():
    batch = Batch.from_data_list([toy_event(1), toy_event(2)])
    first = int((batch.batch == 0).sum())
    assert batch.object_index[0] == batch.object_index[first] == 0
    assert same_object(tensor([(0, 1), (0, first)]), batch).tolist() == [True, False]


def test_truth_edge_weights_by_hand_and_in_a_batch():
    event = Event(pos=torch.zeros(4, 3), point_weight=torch.tensor([0.1, 0.2, 0.3, 0.0]))
    edges = tensor([(0, 1), (1, 2), (0, 3)])
    torch.testing.assert_close(truth_edge_weights(event, edges), torch.tensor([0.15, 0.25, 0.05]) / 0.15)
    batch = Batch.from_data_list([event, Event(pos=torch.zeros(2, 3), point_weight=torch.zeros(2))])
    weights = truth_edge_weights(batch, torch.cat([edges, tensor([(4, 5)])], dim=1))
    torch.testing.assert_close(weights, torch.tensor([1.0, 5 / 3, 1 / 3, 0.0]))
    assert truth_edge_weights(event, tensor([])).shape == (0,)
    with pytest.raises(DataError, match="'point_weight' is not in the data"):
        truth_edge_weights(Event(pos=torch.zeros(4, 3)), edges)


def test_weights_of_the_real_event_are_those_of_phase_2(thinned):
    """The file of a thinned event keeps the weights of the whole one, so only ratios can agree."""
    count = thinned.object_num_points.numpy()
    arguments = {
        "object_index": thinned.object_index.numpy(),
        "object_id": thinned.object_id.numpy(),
        "object_pt": thinned.object_momentum[:, :2].double().norm(dim=1).numpy(),
        "object_vertex_z": thinned.object_vertex[:, 2].double().numpy(),
        "object_num_points": count,
        "truth_z": thinned.truth_pos[:, 2].double().numpy(),
    }
    given = thinned.point_weight.double()
    second = torch.from_numpy(hit_weights(**arguments, phase=2))
    assert torch.equal(given > 0, second > 0)
    ratio = given[given > 0] / second[given > 0]
    deviation = (ratio / ratio.mean() - 1).abs()
    assert float(deviation.median()) < 1e-6
    assert float(deviation.max()) < 5e-6  # the file gives six digits
    first = torch.from_numpy(hit_weights(**arguments, phase=1))
    assert int((first > 0).sum()) - int((given > 0).sum()) == 306
    mean = truth_edge_weights(thinned, thinned.truth_edge_index).double().mean()
    assert float(mean) == pytest.approx(1.0, abs=1e-6)
