"""Truth edges of events by definition, and the redundant edges of split clusters, against loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from data_toy import toy_event
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.data.edge_labels import same_object
from hitloom.data.edge_rules import oracle_cut
from hitloom.data.truth_edges import DEFINITIONS, redundant_split, truth_edges
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event


def event_of(rows) -> Event:
    """Points of (object, volume, layer, module, x); object 3 has no vertex."""
    owner, volume, layer, module, x = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 5
    count = len(owner)
    vertex = torch.zeros(4, 3)
    vertex[1, 0] = 2.5  # an object made further out, with points on both sides of its vertex
    vertex[3] = float("nan")
    # 0.01 * row: no two points at one place
    pos = torch.tensor([[float(value), 0.01 * row, 0.0] for row, value in enumerate(x)]).reshape(count, 3)
    columns = {"volume": volume, "layer": layer, "module": module, "object_index": owner}
    return Event(
        pos=pos,
        object_id=torch.tensor([4, 5, 2**62 + 1, 2**62 + 2]),
        object_vertex=vertex,
        **{name: torch.tensor(values, dtype=torch.int64) for name, values in columns.items()},
    )


def edges_by_loops(event: Event, definition: str) -> set[tuple[int, int]]:
    found = set()
    names = ("volume", "layer") if definition == "layerwise" else ("volume", "layer", "module")
    key = list(zip(*(event[name].tolist() for name in names), strict=True))
    for particle in (0, 1, 2):
        vertex = event.object_vertex[particle].double()
        distance = (event.pos.double() - vertex).norm(dim=1).tolist()
        rows = [row for row in range(event.num_points) if int(event.object_index[row]) == particle]
        rows.sort(key=lambda row: (distance[row], key[row], event.pos[row].tolist()))
        groups = list(dict.fromkeys(key[row] for row in rows))
        members = {group: [row for row in rows if key[row] == group] for group in groups}
        if definition == "modulewise-first":
            firsts = [row for row in rows if row == members[key[row]][0]]
            found |= set(itertools.pairwise(firsts))
        else:
            for inner, outer in itertools.pairwise(groups):
                found |= set(itertools.product(members[inner], members[outer]))
    return found


points = st.lists(
    st.tuples(st.integers(-1, 3), st.integers(0, 1), st.integers(0, 2), st.integers(0, 1), st.integers(0, 6)),
    max_size=24,
)


@pytest.mark.parametrize("definition", DEFINITIONS)
@given(points)
@settings(max_examples=60, deadline=None)
def test_every_definition_equals_its_loops(definition, rows):
    event = event_of(rows)
    edges = truth_edges(event, definition)
    assert edges.dtype == torch.int64
    pairs = [tuple(pair) for pair in edges.T.tolist()]
    assert len(pairs) == len(set(pairs)), "an edge came twice"
    assert set(pairs) == edges_by_loops(event, definition)


@pytest.mark.parametrize("definition", DEFINITIONS)
@given(points, st.randoms())
@settings(max_examples=40, deadline=None)
def test_exatrkx_defect_02_permuting_points_permutes_edges_and_flags(definition, rows, random):
    event = event_of(rows)
    order = list(range(event.num_points))
    random.shuffle(order)
    permuted = Event(
        object_id=event.object_id,
        object_vertex=event.object_vertex,
        **{name: event[name][order] for name in ("pos", "volume", "layer", "module", "object_index")},
    )

    def flagged(one):
        edges = truth_edges(one, definition)
        return zip(*edges.tolist(), redundant_split(one, edges).tolist(), strict=True)

    assert {(order[a], order[b], flag) for a, b, flag in flagged(permuted)} == set(flagged(event))


def test_two_hits_on_a_module_in_all_three_forms():
    #               split cluster on module 1            overlap in layer 2
    rows = [(0, 8, 1, 0, 1), (0, 8, 1, 1, 2), (0, 8, 1, 1, 3), (0, 8, 2, 0, 4), (0, 8, 2, 1, 5), (-1, 8, 1, 0, 1)]
    event = event_of(rows)
    wanted = {
        "modulewise": [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)],
        "modulewise-first": [(0, 1), (1, 3), (3, 4)],
        "layerwise": [(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4)],
    }
    for definition, edges in wanted.items():
        assert sorted(map(tuple, truth_edges(event, definition).T.tolist())) == edges
    edges = truth_edges(event, "modulewise")
    flags = redundant_split(event, edges)
    assert {tuple(edge) for edge in edges[:, flags].T.tolist()} == {(0, 2)}
    assert torch.equal(redundant_split(event, edges.flip(0)), flags), "the direction of storage does not matter"
    assert not redundant_split(event, truth_edges(event, "modulewise-first")).any()


def test_exatrkx_defect_01_noise_and_objects_without_vertex_have_no_edge_and_ids_stay_integers():
    event = event_of([(-1, 8, 2, 1, 1), (-1, 8, 2, 1, 2), (3, 8, 2, 1, 1), (3, 8, 4, 1, 2)])
    for definition in DEFINITIONS:
        assert truth_edges(event, definition).shape == (2, 0)
    assert event.object_id.dtype == torch.int64
    assert int(event.object_id[2]) == 2**62 + 1


def test_exatrkx_defect_23_a_particle_without_truth_edge_stays_a_particle():
    """Both hits on one module: no edge, and yet neither hit is noise."""
    event = event_of([(0, 8, 2, 1, 1), (0, 8, 2, 1, 2), (2, 8, 2, 1, 1), (2, 8, 4, 1, 2)])
    for definition in DEFINITIONS:
        assert truth_edges(event, definition).tolist() == [[2], [3]]
    assert same_object(torch.tensor([[0, 0], [1, 2]]), event).tolist() == [True, False]
    assert oracle_cut(event, {"object_id": ["is", 4]}).num_points == 2


def test_a_batch_gives_what_its_events_give():
    events = [toy_event(1), toy_event(2, num_objects=0), toy_event(3, num_objects=2)]
    start = np.cumsum([0, *(event.num_points for event in events)])
    for definition in DEFINITIONS:
        alone = [truth_edges(event, definition) + int(shift) for event, shift in zip(events, start, strict=False)]
        together = truth_edges(Batch.from_data_list(events), definition)
        assert torch.equal(together, torch.cat(alone, dim=1))
    assert torch.equal(truth_edges(events[0]), events[0].truth_edge_index)


def test_modules_by_one_number_are_enough():
    event = event_of([(0, 8, 2, 1, 1), (0, 8, 4, 2, 2)])
    del event.volume, event.layer
    event.module = torch.tensor([2**62, 2**62 + 1])
    assert truth_edges(event).tolist() == [[0], [1]]
    with pytest.raises(DataError, match="'layer' is not in the data"):
        truth_edges(event, "layerwise")


def test_what_is_missing_is_named():
    event = event_of([(0, 8, 2, 1, 1)])
    with pytest.raises(ConfigError, match="no definition 'modulwise'. Did you mean 'modulewise'"):
        truth_edges(event, "modulwise")
    del event.object_vertex
    with pytest.raises(DataError, match="'object_vertex' is not in the data and layerwise truth edges needs it"):
        truth_edges(event, "layerwise")


def test_real_event_both_modulewise_forms_agree_and_layers_overlap(thinned):
    product = truth_edges(thinned, "modulewise")
    assert torch.equal(product, thinned.truth_edge_index)
    first = truth_edges(thinned, "modulewise-first")
    assert set(map(tuple, first.T.tolist())) == set(map(tuple, product.T.tolist()))
    assert not redundant_split(thinned, product).any()
    layerwise = truth_edges(thinned, "layerwise")
    assert layerwise.shape[1] != product.shape[1]
    assert (
        (thinned.layer[layerwise[0]] != thinned.layer[layerwise[1]])
        .logical_or(thinned.volume[layerwise[0]] != thinned.volume[layerwise[1]])
        .all()
    )
    owner = thinned.object_index
    for edges in (product, layerwise):
        assert torch.equal(owner[edges[0]], owner[edges[1]])
