"""Rules for the weights of edges: by hand, operator by operator, and against a loop over edges."""

from __future__ import annotations

import math

import pytest
import torch
from data_toy import toy_event
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.data.edge_labels import edge_truth, same_object, truth_edge_weights
from hitloom.data.edge_rules import TRUTH_CUT_WARNING, EdgeRule, EdgeWeighting, oracle_cut
from hitloom.data.transforms import is_truth_selected
from hitloom.data.truth_edges import truth_edges
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event

# the edges of `event()`: three of object 0, one of object 1, one skipping a layer, one to noise, noise to noise
EDGES = torch.tensor([[0, 2, 1, 4, 0, 1, 6], [1, 1, 3, 5, 3, 6, 7]])
TRUE = torch.tensor([1, 1, 1, 1, 0, 0, 0]).bool()


def event() -> Event:
    """Object 0 has a split cluster (points 0 and 2) on its first module; object 1 is a soft secondary."""
    return Event(
        event_id=1,
        pos=torch.tensor([[1.0, 0, 0], [2, 0, 0], [1.5, 0, 0], [3, 0, 0], [0, 1, 0], [0, 2, 0], [1, 1, 0], [9, 9, 9]]),
        layer=torch.tensor([2, 4, 2, 6, 2, 4, 2, 8]),
        module=torch.tensor([1, 2, 1, 3, 1, 2, 1, 9]),
        object_index=torch.tensor([0, 0, 0, 0, 1, 1, -1, -1]),
        object_id=torch.tensor([2**53, (9 << 52) | (1 << 24)]),
        object_pt=torch.tensor([2.0, 0.5]),
        object_eta=torch.tensor([1.0, -3.0]),
        object_pdg=torch.tensor([211, 11]),
        object_num_points=torch.tensor([4, 2]),
        object_vertex=torch.tensor([[0.0, 0, 0], [0, 0.3, 0.4]]),
        point_weight=torch.tensor([0.1, 0.3, 0.1, 0.1, 0.2, 0.2, 0.0, 0.0]),
    )


def applied(rules, **settings):
    targets = build(EdgeWeighting, {"rules": rules} | settings).apply(event(), EDGES, TRUE)
    assert targets.weight.dtype == torch.float32
    return targets.signal.int().tolist(), targets.weight.tolist()


def fitting(conditions) -> list[int]:
    """Edges that fulfil the conditions."""
    rule = {"weight": 5, "conditions": conditions}
    return [int(weight == 5) for weight in applied([rule])[1]]


def test_without_rules_every_edge_weighs_1():
    assert applied([]) == ([1, 1, 1, 1, 0, 0, 0], [1.0] * 7)
    plain = EdgeWeighting().apply(event(), EDGES, TRUE)
    assert plain.signal.tolist() == TRUE.tolist()


def test_a_list_begins_with_true_0_and_false_1_and_the_last_rule_wins():
    rules = [{"weight": 3, "conditions": {"pt": [1, math.inf]}}, {"weight": 2, "conditions": {"hit_layer_id": [2, 4]}}]
    weighting = build(EdgeWeighting, {"true_default": 0, "false_default": 1, "rules": rules})
    assert EdgeWeighting.model_validate(rules) == weighting
    targets = weighting.apply(event(), EDGES, TRUE)
    assert targets.weight.tolist() == [2, 2, 3, 2, 1, 2, 1]
    assert targets.signal.int().tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert EdgeWeighting.model_validate([]) == EdgeWeighting()


def test_negative_is_true_but_treated_as_false_and_zero_is_masked():
    signal, weight = applied(
        [{"weight": -0.5, "conditions": {"pdgId": ["in", [11, -11]]}}, {"weight": 0, "conditions": {"y_pid": True}}]
    )
    assert signal == [0, 0, 0, 0, 0, 0, 0]
    assert weight == [0, 0, 0, 0, 0, 1, 1]
    signal, weight = applied([{"weight": -0.5, "conditions": {"pdgId": ["in", [11, -11]]}}])
    assert signal == [1, 1, 1, 0, 0, 0, 0]
    assert weight == [1, 1, 1, 0.5, 1, 1, 1]
    # of a false edge, the sign says nothing
    signal, weight = applied([{"weight": -2, "conditions": {"edge_y": False}}])
    assert signal == [1, 1, 1, 1, 0, 0, 0]
    assert weight == [1, 1, 1, 1, 2, 2, 2]


def test_masked_background_leaves_the_loss():
    """True edges that are no signal weigh 0; false ones keep 1."""
    target = {"weight": 1, "conditions": {"edge_y": True, "track_particle_pt": [1, math.inf]}}
    signal, weight = applied([{"weight": 0, "conditions": {"edge_y": True}}, target])
    assert signal == [1, 1, 1, 0, 0, 0, 0]
    assert weight == [1, 1, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ([1.0, 3.0], [1, 1, 1, 0]),
        (["within", [0, 1]], [0, 0, 0, 1]),
        (["not_within", [0, 1]], [1, 1, 1, 0]),
        (["is", 0.5], [0, 0, 0, 1]),
        (["is_not", 0.5], [1, 1, 1, 0]),
        (["in", [2, 7]], [1, 1, 1, 0]),
        (["not_in", [2, 7]], [0, 0, 0, 1]),
    ],
)
def test_exatrkx_defect_26_every_operator_on_particles_and_false_edges_fail_them_all(value, wanted):
    assert fitting({"object_pt": value}) == [*wanted, 0, 0, 0]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (False, [1, 0, 1, 1]),
        (["is", True], [0, 1, 0, 0]),
        (["is_not", True], [1, 0, 1, 1]),
        (["in", [True]], [0, 1, 0, 0]),
        (["not_in", [True]], [1, 0, 1, 1]),
        (["within", [0, 0]], [1, 0, 1, 1]),
        (["not_within", [0, 0]], [0, 1, 0, 0]),
    ],
)
def test_exatrkx_defect_26_every_operator_on_edges(value, wanted):
    """Seen from x = 4, module 1 lies behind point 1, and of its points 2 and 0 the further is 0: edge (1, 0)."""
    split = event()
    split.object_vertex[0, 0] = 4.0
    edges = torch.tensor([[2, 1, 1, 4, 0, 1, 6], [1, 0, 3, 5, 3, 6, 7]])
    rule = build(EdgeWeighting, {"rules": [{"weight": 5, "conditions": {"track_redundant_split_edges": value}}]})
    weight = rule.apply(split, edges, TRUE).weight
    assert (weight == 5).int().tolist() == [*wanted, 0, 0, 0]


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        ({"edge_y": True}, [1, 1, 1, 1, 0, 0, 0]),
        ({"y": ["is_not", True]}, [0, 0, 0, 0, 1, 1, 1]),
        ({"same_object": True}, [1, 1, 1, 1, 1, 0, 0]),
        ({"same_object": True, "edge_y": False}, [0, 0, 0, 0, 1, 0, 0]),
        ({"nhits": [3, math.inf]}, [1, 1, 1, 0, 0, 0, 0]),
        ({"track_particle_nhits": [2, 3]}, [0, 0, 0, 1, 0, 0, 0]),
        ({"primary": True}, [1, 1, 1, 0, 0, 0, 0]),
        ({"object_generation": ["is", 1]}, [0, 0, 0, 1, 0, 0, 0]),
        ({"radius": [0.2, 260]}, [0, 0, 0, 1, 0, 0, 0]),
        ({"eta_particle": [-4, 0]}, [0, 0, 0, 1, 0, 0, 0]),
        ({"pdgId": ["not_in", [11, -11]]}, [1, 1, 1, 0, 0, 0, 0]),
        ({"layer": ["in", [2, 4]]}, [1, 1, 0, 1, 0, 1, 0]),
        ({}, [1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_exatrkx_defect_08_every_quantity_is_looked_up_under_its_own_name(conditions, wanted):
    assert fitting(conditions) == wanted


rules = st.lists(
    st.tuples(
        st.sampled_from([-2.0, -1.0, 0.0, 0.5, 3.0]),
        st.sampled_from([None, True, False]),
        st.sampled_from([None, (1.0, 9.0), (0.0, 1.0)]),
    ),
    max_size=4,
)


@given(rules, st.sampled_from([0.0, 1.0, -1.0]), st.sampled_from([0.1, 1.0]))
@settings(max_examples=80, deadline=None)
def test_rules_equal_a_loop_over_edges(rules, true, false):
    mappings = []
    for weight, y, pt in rules:
        conditions = ({"edge_y": y} if y is not None else {}) | ({"object_pt": list(pt)} if pt else {})
        mappings.append({"weight": weight, "conditions": conditions})
    signal, weight = applied(mappings, true_default=true, false_default=false)
    for edge, is_true in enumerate(TRUE.tolist()):
        value = true if is_true else false
        particle_pt = [2.0, 0.5, -1.0][int(event().object_index[EDGES[0, edge]])]
        for wanted, y, pt in rules:
            if (y is None or y == is_true) and (pt is None or (is_true and pt[0] <= particle_pt <= pt[1])):
                value = wanted
        assert weight[edge] == pytest.approx(abs(value))
        assert signal[edge] == (is_true and value > 0)


def test_weights_of_points():
    rules = EdgeWeighting(by_point_weight=True, rules=(EdgeRule(weight=2.0, conditions={"pt": [1, math.inf]}),))
    assert rules.fields == ("point_weight", "object_index", "object_id", "object_pt")
    targets = rules.apply(event(), EDGES, TRUE)
    share = truth_edge_weights(event(), EDGES[:, TRUE])
    torch.testing.assert_close(targets.weight, torch.cat([share * torch.tensor([2.0, 2, 2, 1]), torch.ones(3)]))


def test_fields_are_those_that_the_rules_read():
    assert EdgeWeighting().fields == ()
    rules = [{"weight": 1, "conditions": {"redundant_split": False, "radius": [0, 1], "r": [0, 1], "layer": [0, 1]}}]
    assert EdgeWeighting.model_validate(rules).fields == (
        "object_index",
        "object_id",
        "object_vertex",
        "module",
        "layer",
    )


def test_a_batch_gives_what_its_events_give():
    events = [toy_event(1), toy_event(2, num_objects=0), toy_event(3, num_objects=2)]
    rules = [{"weight": 2, "conditions": {"pt": [1, math.inf], "redundant_split": False}}]
    weighting = EdgeWeighting.model_validate({"rules": rules, "by_point_weight": True})

    def targets(one):
        """Truth edges, and others from their ends."""
        edges = truth_edges(one)
        edges = torch.cat([edges, edges[:1].repeat(2, 1)], dim=1)
        return weighting.apply(one, edges, edge_truth(edges, truth_edges(one), one.num_points))

    together = targets(Batch.from_data_list(events))
    assert sorted(together.weight.tolist()) == pytest.approx(
        sorted(weight for one in events for weight in targets(one).weight.tolist())
    )


def test_exatrkx_defect_07_mistakes_are_told():
    with pytest.raises(ConfigError, match=r"'rules\.0\.conditions': 'pt': unknown operator 'isnt'|unknown operator"):
        build(EdgeWeighting, {"rules": [{"weight": 1, "conditions": {"pt": ["isnt", 1]}}]})
    with pytest.raises(ConfigError, match="name one quantity twice"):
        build(EdgeWeighting, {"rules": [{"weight": 1, "conditions": {"pt": [0, 1], "object_pt": [1, 2]}}]})
    with pytest.raises(ConfigError, match=r"'rules\.0\.weight'"):
        build(EdgeWeighting, {"rules": [{"weight": math.nan}]})
    with pytest.raises(ConfigError, match="unknown key 'rule'"):
        build(EdgeWeighting, {"rule": []})
    with pytest.raises(DataError, match="no object quantity 'object_ptt'. Did you mean 'object_pt'"):
        applied([{"weight": 1, "conditions": {"object_ptt": [0, 1]}}])


def test_exatrkx_defect_38_oracle_cuts_are_marked():
    cut = oracle_cut(event(), {"object_pt": [1, math.inf]})
    assert cut.point_weight.tolist() == event().point_weight[:4].tolist()
    assert is_truth_selected(cut)
    assert not is_truth_selected(oracle_cut(event(), {}))
    assert "truth-selected input" in TRUTH_CUT_WARNING
    with pytest.raises(ConfigError, match="'layer' does not look at truth; mend: put it under hard_cuts"):
        oracle_cut(event(), {"object_pt": [1, 2], "layer": [2, 4]})


def test_exatrkx_defect_03_noise_has_no_momentum(thinned):
    """Truth momenta of noise are of the order of 1e5 GeV; cuts look at the particle table, where noise is not."""
    noise = thinned.object_index < 0
    assert float(thinned.truth_momentum[noise][:, :2].norm(dim=1).max()) > 1e3
    kept = oracle_cut(thinned, {"object_pt": [1, math.inf]})
    assert (kept.object_index >= 0).all()
    assert (kept.object_pt[kept.object_index] >= 1).all()
    assert same_object(kept.truth_edge_index, kept).all()
