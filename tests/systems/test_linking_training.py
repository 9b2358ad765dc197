"""What linking learns from: scales, targets, weights, second view, the chosen threshold."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.data.trackster_truth import BOTH_PILEUP, pair_class
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.losses.focal import focal_loss
from hitloom.result import Scores
from hitloom.systems.linking import Linking, LinkingConfig
from hitloom.systems.linking.inputs import mirrored
from hitloom.systems.linking.objective import is_signal, targets
from hitloom.systems.linking.system import prune_smallest
from trackster_toy import toy_trackster_event

TIME, DELTA_TIME = NODE_FEATURES.index("time"), 4


def event(seed: int, **settings) -> Event:
    return toy_trackster_event(seed, **{"num_particles": 10, "num_pileup": 6} | settings)


def make(**model) -> Linking:
    torch.manual_seed(0)
    return Linking(build(LinkingConfig, {"dropout": 0.0} | model))


def scored(one: Event, logit: torch.Tensor) -> Scores:
    return Scores(edge_index=one.edge_index, edge_score=logit)


# ---------------------------------------------------------------------- scales (defect 9)


def test_scales_are_the_largest_sizes_of_the_training_set():
    system, events = make(), [event(1, missing_time=0.9), event(2, missing_time=0.9)]
    system.fit_inputs(events)
    x = torch.cat([e.columns(NODE_FEATURES) for e in events])
    wanted = x.abs().amax(0)
    wanted[TIME] = x[x[:, TIME] > -98, TIME].abs().max()
    torch.testing.assert_close(system.network.inputs.node_scale, wanted)
    attr = torch.cat([e.edge_attr for e in events]).abs()
    scale = system.network.inputs.edge_scale
    torch.testing.assert_close(scale[:DELTA_TIME], attr.amax(0)[:DELTA_TIME])
    assert float(scale[DELTA_TIME]) < 10 < float(attr[:, DELTA_TIME].max())  # differences with -99 never count


@pytest.mark.parametrize("missing_time", ["keep", "zero", "mask"])
def test_missing_times_never_enter_a_scale(missing_time: str):
    system = make(inputs={"missing_time": missing_time})
    one = event(3)
    one.x[0, TIME] = -99.0
    system.fit_inputs([one])
    time = one.x[:, TIME]
    torch.testing.assert_close(system.network.inputs.node_scale[-1], time[time > -98].abs().max())
    nodes, _ = system.network.inputs(one.columns(NODE_FEATURES), one.edge_index.flip(0), one.edge_attr)
    there = float(nodes[0, -1])
    assert there == (0.0 if missing_time != "keep" else pytest.approx(-99.0 / float(time[time > -98].abs().max())))
    if missing_time == "mask":
        assert torch.equal(nodes[:, -2], (time < -98).float())


def test_columns_of_zeros_stay_finite():
    one = event(4)
    for name in ("muon_prob", "EV3"):
        one.x[:, one.feature_names.index(name)] = 0.0
    one.edge_attr[:, 2] = 0.0
    system = make()
    system.fit_inputs([one])
    scale = system.network.inputs.node_scale
    assert float(scale[NODE_FEATURES.index("muon_prob")]) == 1.0
    assert bool(torch.isfinite(system(one).edge_score).all())


def test_alpha_comes_from_the_training_set_alone():
    system, events = make(), [event(5), event(6)]
    system.fit_inputs(events)
    y = torch.cat([e.edge_y for e in events])
    assert float(system.alpha) == pytest.approx(0.5 + float((y <= 0).double().mean()) / 2)
    before = {name: value.clone() for name, value in system.state_dict().items()}
    validation = event(7)
    validation.x = validation.x * 100
    system.validation_counts(system(validation), validation)
    assert all(torch.equal(value, before[name]) for name, value in system.state_dict().items())


def test_scales_that_came_with_weights_stay():
    first = make()
    first.fit_inputs([event(8)])
    second = make()
    second.load_state_dict(first.state_dict())
    other = event(9)
    other.x = other.x * 10
    second.fit_inputs([other])
    assert torch.equal(second.network.inputs.node_scale, first.network.inputs.node_scale)


# ---------------------------------------------------------------------- what the inputs do not depend on


@pytest.mark.parametrize("phi", ["sin-cos", "invariant"])
def test_phi_safe_inputs_do_not_jump_at_pi(phi: str):
    system = make(inputs={"phi": phi})
    x = event(10).columns(NODE_FEATURES)[:1].repeat(2, 1)
    at = NODE_FEATURES.index("barycenter_phi")
    x[:, at] = torch.tensor([3.14159, -3.14159])
    nodes = system.network.inputs.nodes(x)
    torch.testing.assert_close(nodes[0], nodes[1], atol=1e-4, rtol=0)


def rotated(one: Event, angle: float) -> Event:
    turn = torch.tensor([[1, 0], [0, 1.0]])
    c, s = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
    turn = torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
    other = one.clone()
    other.x = one.x.clone()
    for names in (("barycenter_x", "barycenter_y"), ("eVector0_x", "eVector0_y")):
        columns = [one.feature_names.index(name) for name in names]
        other.x[:, columns] = one.x[:, columns] @ turn.T
    at = one.feature_names.index("barycenter_phi")
    other.x[:, at] = torch.atan2(*(torch.sin(one.x[:, at] + angle), torch.cos(one.x[:, at] + angle)))
    return other


INVARIANT = {"phi": "invariant", "mirror": True, "relative": True, "log": True, "missing_time": "mask"}


def test_invariant_inputs_know_neither_azimuth_nor_endcap():
    system, one = make(inputs=INVARIANT), event(11)
    system.fit_inputs([one])
    wanted = system(one).edge_score
    torch.testing.assert_close(system(rotated(one, 1.0)).edge_score, wanted, atol=1e-4, rtol=1e-3)
    other = one.clone()
    other.x = one.x.clone()
    names = one.feature_names
    for name in ("barycenter_z", "barycenter_eta", "eVector0_z"):
        other.x[:, names.index(name)] *= -1
    low, high = names.index("z_min"), names.index("z_max")
    other.x[:, low], other.x[:, high] = -one.x[:, high], -one.x[:, low]
    torch.testing.assert_close(system(other).edge_score, wanted, atol=1e-5, rtol=1e-4)


def test_mirroring_twice_is_mirroring_once():
    x = event(12).columns(NODE_FEATURES)
    assert bool((x[:, 2] < 0).any())
    once = mirrored(x)
    assert bool((once[:, 2] > 0).all())
    assert bool((once[:, 24] <= once[:, 25]).all())
    assert torch.equal(mirrored(once), once)


def test_raw_inputs_are_those_of_the_contract():
    system, one = make(inputs={"missing_time": "keep"}), event(13)
    x = one.columns(NODE_FEATURES)
    assert torch.equal(system.network.inputs.nodes(x), x)
    assert torch.equal(system.network.inputs.edges(x, one.edge_index.flip(0), one.edge_attr), one.edge_attr)


# ---------------------------------------------------------------------- targets and weights (defect 12)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_training_and_validation_have_one_loss(kind: str):
    system, one = make(loss={"targets": kind}), event(14)
    assert 0 < float(one.edge_y[one.edge_y > 0].min()) < 0.95  # soft targets differ from hard ones
    system.fit_inputs([one])
    values = [system.train(mode).loss(system(one), one).total for mode in (True, False)]
    assert torch.equal(*values)
    logit = system(one).edge_score
    target = (one.edge_y > 0).float() if kind == "hard" else one.edge_y
    energy = one.energy[one.edge_index].amax(0)
    wanted = focal_loss(logit, target, alpha=float(system.alpha), weight=(energy / 300).clamp(0, 1))
    torch.testing.assert_close(values[0], wanted)


def test_only_signal_makes_pile_up_false():
    one = event(15, num_pileup=12)
    kind = pair_class(one)
    own = targets(one, hard=False, only_signal=True)
    assert bool((one.edge_y[kind == BOTH_PILEUP] > 0).any())
    assert not bool(own[kind == BOTH_PILEUP].any())
    assert torch.equal(own[kind != BOTH_PILEUP], one.edge_y[kind != BOTH_PILEUP])
    several = Batch.from_data_list([event(16, num_pileup=3), one])
    assert torch.equal(targets(several, hard=False, only_signal=True)[-len(own) :], own)


def test_unmatched_tracksters_are_neither_signal_nor_pile_up():  # defect 2
    one = event(17)
    one.object_index[:4] = -1
    matched, signal = is_signal(one)
    assert not bool(matched[:4].any())
    assert not bool(signal[:4].any())
    assert torch.equal(matched, one.object_index >= 0)
    for row in range(4, one.num_points):
        if matched[row]:
            assert bool(signal[row]) == bool(one.object_is_signal[one.object_index[row]])
    del one.object_is_signal
    assert torch.equal(is_signal(one)[1], matched)


def test_the_floor_and_the_focus_of_the_edge_weights():
    one = event(18)
    energy, logit = one.energy[one.edge_index].amax(0), torch.randn(len(one.edge_y))
    error = (logit.sigmoid() - (one.edge_y > 0).float()).abs()

    def value(**weight) -> torch.Tensor:
        return make(loss={"alpha": 0.4, "weight": weight}).loss(scored(one, logit), one).total

    def wanted(weight: torch.Tensor | None) -> torch.Tensor:
        return focal_loss(logit, (one.edge_y > 0).float(), weight=weight)

    torch.testing.assert_close(value(), wanted((energy / 300).clamp(0, 1)))
    torch.testing.assert_close(value(scale=50, floor=0.3), wanted((energy / 50).clamp(0.3, 1)))
    heavy = (energy / 50).clamp(0, 1)
    torch.testing.assert_close(value(scale=50, heavy_focus=4), wanted(heavy * (1 + 4 * heavy * error)))
    torch.testing.assert_close(value(uniform=True), wanted(None))


def test_the_older_focal_loss_is_another():
    one = event(19)
    logit = torch.randn(len(one.edge_y))
    old, new = (make(loss={"form": form}).loss(scored(one, logit), one).total for form in ("probabilities", "logits"))
    assert float((old - new).abs()) > 1e-4


# ---------------------------------------------------------------------- second view


@pytest.mark.parametrize("view", ["event", "edge"])
def test_the_second_view_is_drawn_by_the_seed_of_the_step(view: str):
    loss = {"contrastive_weight": 0.4, "focal_weight": 0.6, "margin": 2.0, "view": view}
    system, one = make(loss=loss), event(20)

    def value(seed: int) -> float:
        torch.manual_seed(seed)
        found = system.loss(system(one), one)
        assert found.weights == {"focal": 0.6, "contrastive": 0.4}
        return float(found.parts["contrastive"].detach())

    assert value(1) == value(1)
    values = {round(value(seed), 6) for seed in range(12)}
    assert len(values) > 6
    if view == "event":  # same edges lie close, others far from the margin of 2
        assert min(values) < 0.2 < 0.5 < max(values)


def test_no_edge_no_contrast():
    system = make(loss={"contrastive_weight": 0.4})
    one = event(21, num_particles=1, num_pileup=0, pieces=1)
    assert one.edge_index.shape[1] == 0
    assert float(system.loss(system(one), one).total.detach()) == 0.0


def test_the_pile_up_head_learns_from_matched_tracksters_alone():
    system, one = make(loss={"pu_weight": 0.5}), event(22)
    scores = system(one)
    found = system.loss(scores, one)
    matched, signal = is_signal(one)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        scores.point_score[matched], signal[matched].float()
    )  # fmt: skip
    torch.testing.assert_close(found.parts["pileup"], entropy)
    assert found.weights["pileup"] == 0.5


# ---------------------------------------------------------------------- working point (defect 3)


def known(num: int = 400, *, best: float) -> Event:
    """Edges of which those with a score above ``best`` are true and no others."""
    one = event(23, num_particles=16)
    g = torch.Generator().manual_seed(0)
    probability = torch.rand(len(one.edge_y), generator=g) * 0.98 + 0.01
    one.edge_y = (probability > best).float()
    one.logit = torch.logit(probability)
    return one


@pytest.mark.parametrize("best", [0.05, 0.4, 0.75])
def test_the_scan_finds_a_known_best_threshold(best: float):
    one, system = known(best=best), make()
    system.forward = lambda event: scored(event, event.logit)
    assert system.choose_working_point([one])["threshold"] == pytest.approx(best)
    assert make(scan={"enabled": False}).choose_working_point([one]) == {}
    assert make(energy_cuts=[(50, 0.5), (float("inf"), 0.8)]).choose_working_point([one]) == {}


def test_the_scan_for_the_energy_lost_finds_the_partition_that_loses_least():
    one = event(24, num_particles=12)
    same = one.object_index[one.edge_index[0]] == one.object_index[one.edge_index[1]]
    matched = (one.object_index[one.edge_index] >= 0).all(0)
    one.logit = torch.logit(torch.where(same & matched, 0.52, 0.47))  # one bridge joins whole particles
    system = make(scan={"objective": "distance"})
    system.forward = lambda event: scored(event, event.logit)
    assert system.choose_working_point([one])["threshold"] == pytest.approx(0.5)


def test_the_energy_lost_decides_only_among_thresholds_of_good_f1():
    one = event(24, num_particles=12)
    same = one.object_index[one.edge_index[0]] == one.object_index[one.edge_index[1]]
    matched = (one.object_index[one.edge_index] >= 0).all(0)
    score = torch.where(same & matched, 0.62, 0.57)
    true = torch.where(same & matched)[0]
    score[true[torch.arange(len(true)) % 10 > 0]] = 0.32  # most true edges score below every false one
    one.logit = torch.logit(score)
    chosen = {}
    for slack in (1.0, 0.0):
        system = make(scan={"objective": "distance", "max_f1_loss": slack})
        system.forward = lambda event: scored(event, event.logit)
        chosen[slack] = system.choose_working_point([one])["threshold"]
    assert chosen[1.0] == pytest.approx(0.6)
    assert chosen[0.0] < 0.6


def test_cuts_by_energy_take_the_heavier_end():
    cuts = [(50.0, 0.5), (float("inf"), 0.8)]
    system = make(energy_cuts=cuts)
    one = Event(
        pos=torch.zeros(6, 3), x=torch.zeros(6, 29), feature_names=list(NODE_FEATURES), event_id=0,
        edge_index=torch.tensor([[0, 2, 4, 1], [1, 3, 5, 2]]),
    )  # fmt: skip
    one.x[:, NODE_FEATURES.index("raw_energy")] = torch.tensor([10.0, 20.0, 60.0, 5.0, 50.0, 1.0])
    scores = scored(one, torch.logit(torch.tensor([0.6, 0.6, 0.6, 0.85])))
    # 20 GeV at 0.6 passes 0.5; 60 GeV does not pass 0.8; neither does 50 GeV; 60 GeV at 0.85 does
    assert system.reconstruct(scores, one).labels.tolist() == [0, 0, 0, 1, 2, 3]
    flat = make(threshold=0.7).reconstruct(scores, one).labels.tolist()
    assert flat == [0, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("cuts", [[], [(50, 0.5)], [(80, 0.5), (50, 0.5), (float("inf"), 0.8)], [(float("inf"), 1.5)]])
def test_impossible_cuts_are_refused(cuts: list):
    with pytest.raises(ConfigError, match="energy_cuts"):
        make(energy_cuts=cuts)


def test_a_score_that_is_not_finite_is_refused():
    one = event(25)
    logit = torch.zeros(len(one.edge_y))
    logit[3] = float("nan")
    with pytest.raises(DataError, match="edge score is not finite"):
        make().reconstruct(scored(one, logit), one)


# ---------------------------------------------------------------------- pruning


def test_pruning_takes_the_smallest_weights_and_keeps_them_away():
    weight = torch.tensor([[0.1, -3.0], [0.5, -0.2]])
    prune_smallest(weight, 0.5)
    assert weight.tolist() == [[0.0, -3.0], [0.5, 0.0]]
    system, one = make(prune={"share": 0.5, "first_epoch": 2}), event(26)
    optimiser = torch.optim.Adam(system.parameters(), lr=1e-2)
    for epoch in (1, 2, 3):
        system.loss(system(one), one).total.backward()
        optimiser.step()
        system.after_step(epoch)
        zero = float((system.network.blocks[0].first.weight == 0).float().mean())
        assert zero == (0.0 if epoch < 2 else pytest.approx(0.5, abs=0.01))
