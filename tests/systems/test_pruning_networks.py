"""The modes of pruning but the tree: against the plain form, in batches, on single layer clusters, and their losses."""

import pytest
import torch
from pruning_oracle import PlainGraph, PlainNetwork
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.registry import get_system
from hitloom.systems.pruning import Pruning, PruningConfig
from hitloom.systems.pruning.inputs import TracksterNodes
from hitloom.systems.pruning.network import RunningNorm
from hitloom.systems.pruning.objective import class_weights, expected_loss
from pruning_toy import toy_trackster

MODES = ("autoregressive", "multistep", "one_pass", "nodes")
SIZES = (5, 1, 13, 8, 2)


def make(mode: str = "autoregressive", *, seed: int = 0, **model: object) -> Pruning:
    torch.manual_seed(seed)
    settings = {"mode": mode, "hidden": 16, "head_dropout": 0.0, "num_gnn_layers": 2, **model}
    system = Pruning(build(PruningConfig, settings))
    system.fit_inputs(tracksters())
    if mode == "autoregressive":  # the confidences of fresh weights are nearly equal
        with torch.no_grad():
            system.mode.network.confidence.last.weight.mul_(1000)
    return system


def tracksters() -> list[Event]:
    return [toy_trackster(num, seed + 1) for seed, num in enumerate(SIZES)]


def total(system: Pruning, event: Event) -> torch.Tensor:
    return system.loss(system(event), event).total.detach()


# ---------------------------------------------------------------------- structure


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("mode", ["autoregressive", "multistep"])
@pytest.mark.parametrize(("aggregator", "memory", "num_parameters"), [
    ("lstm", "none", 753_923), ("lstm", "gru", 852_995), ("lstm", "lstm", 886_019),
    ("mean", "none", 357_635), ("mean", "gru", 456_707), ("mean", "lstm", 489_731),
])  # fmt: skip
def test_published_numbers_of_parameters(norm, mode, aggregator, memory, num_parameters):
    model = {"mode": mode, "sage_aggregator": aggregator, "memory": memory, "norm": norm}
    assert Pruning(build(PruningConfig, model)).num_parameters == num_parameters


@pytest.mark.parametrize("setting", [{"memory": "rnn"}, {"gate": "mean"}, {"sage_aggregator": "gru"}, {"mode": "ar"}])
def test_an_unknown_choice_is_refused_by_name(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        build(PruningConfig, setting)


def test_the_published_name_of_the_gate_is_no_setting():
    with pytest.raises(ConfigError, match="aggregator"):
        build(PruningConfig, {"aggregator": "lstm"})


def test_weights_of_another_mode_are_refused():
    with pytest.raises(RuntimeError, match="modes.multistep"):
        make("multistep").load_state_dict(make("autoregressive").state_dict())


# ---------------------------------------------------------------------- the plain form


@pytest.mark.parametrize("aggregator", ["mean", "lstm"])
@pytest.mark.parametrize(("gate", "memory"), [("lstm", "none"), ("gru", "gru"), ("lstm", "lstm"), ("gru", "none")])
def test_scores_order_and_loss_are_those_of_one_graph_at_a_time(aggregator, gate, memory):
    weight = {"class_weight": "fixed", "positive_weight": 3.0}
    system = make(sage_aggregator=aggregator, gate=gate, memory=memory, loss=weight).double()
    events = tracksters()
    for event in events:
        event.x = event.x.double()
    batch = Batch.from_data_list(events)
    network = system.mode.network
    plain = PlainNetwork(network)
    forced, free = system.train()(batch), system.eval()(batch)
    losses = []
    for event, first, size in zip(events, batch.ptr.tolist()[:-1], SIZES, strict=True):
        graph, label = PlainGraph(event.edge_index, size), event.point_y.long()
        cost = torch.where(label > 0, 3.0, 1.0).double()
        inputs = system.mode.inputs(TracksterNodes.of(event))
        for scores, teacher in ((forced, True), (free, False)):
            logit, order, loss = plain.autoregressive(inputs, graph, label=label, weight=cost, teacher=teacher)
            torch.testing.assert_close(scores.point_score[first : first + size], logit.float(), atol=1e-6, rtol=1e-5)
            assert scores.own["decided_in"][first : first + size].argsort().tolist() == order
            losses.append((teacher, loss))
    for scores, teacher in ((forced, True), (free, False)):
        wanted = torch.stack([loss for kind, loss in losses if kind == teacher]).mean()
        torch.testing.assert_close(system.loss(scores, batch).total, wanted, atol=1e-6, rtol=1e-5)
    leaves = [p for name, p in network.named_parameters()]
    found = torch.autograd.grad(system.loss(forced, batch).total, leaves)
    wanted = torch.autograd.grad(torch.stack([loss for teacher, loss in losses if teacher]).mean(), leaves)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("aggregator", ["mean", "lstm"])
def test_soft_rounds_are_those_of_one_graph_at_a_time(aggregator):
    system = make("multistep", sage_aggregator=aggregator, num_iterations=3).eval()
    for event in tracksters():
        inputs = system.mode.inputs(TracksterNodes.of(event))
        logits = PlainNetwork(system.mode.network).multistep(inputs, PlainGraph(event.edge_index, len(inputs)), 3)
        torch.testing.assert_close(system(event).point_score, logits[:, 0] - logits[:, 1], atol=1e-5, rtol=1e-4)


# ---------------------------------------------------------------------- batches


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("class_weight", ["fixed", "per_graph", "dataset"])
@pytest.mark.parametrize("training", [True, False])
def test_a_batch_is_the_mean_of_its_tracksters_in_any_order(mode, class_weight, training):
    loss = {"class_weight": class_weight, "positive_weight": 5.0}
    system = make(mode, loss=loss, features={"context": True}).train(training)
    events = tracksters()
    alone = [system(event) for event in events]
    for order in (range(len(events)), (3, 0, 4, 1, 2)):
        chosen = [events[i] for i in order]
        together = system(Batch.from_data_list(chosen))
        wanted = torch.cat([alone[i].point_score for i in order])
        torch.testing.assert_close(together.point_score, wanted, atol=1e-5, rtol=1e-5)
        mean = torch.stack([system.loss(alone[i], events[i]).total for i in order]).mean()
        value = system.loss(together, Batch.from_data_list(chosen)).total
        torch.testing.assert_close(value, mean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("setting", [{"GROUP_NODES": 14}, {"MAX_STORED": 0}])
def test_neither_groups_nor_steps_that_are_computed_again_change_scores_loss_or_gradient(monkeypatch, setting):
    system, batch = make(memory="lstm", sage_aggregator="lstm"), Batch.from_data_list(tracksters())
    names = [name for name, _ in system.named_parameters()]

    def found() -> tuple[torch.Tensor, ...]:
        scores = system(batch)
        loss = system.loss(scores, batch).total
        return scores.point_score, loss, *torch.autograd.grad(loss, list(system.parameters()))

    wanted = found()
    assert system.mode.network.stored_bytes(SIZES) > 0
    for name, value in setting.items():
        monkeypatch.setattr(f"hitloom.systems.pruning.autoregressive.{name}", value)
    for name, value, right in zip(["score", "loss", *names], found(), wanted, strict=True):
        torch.testing.assert_close(value, right, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_dropout_is_drawn_again_alike_where_steps_are_computed_again(monkeypatch):
    system, batch = make(head_dropout=0.3), Batch.from_data_list(tracksters())
    found = []
    for limit in (1 << 40, 0):
        monkeypatch.setattr("hitloom.systems.pruning.autoregressive.MAX_STORED", limit)
        torch.manual_seed(3)
        loss = system.loss(system(batch), batch).total
        found.append((loss, *torch.autograd.grad(loss, list(system.parameters()))))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("aggregator", ["mean", "sum", "max"])
@pytest.mark.parametrize("mode", MODES)
def test_permuted_layer_clusters_have_permuted_scores(mode, aggregator):
    system = make(mode, sage_aggregator=aggregator).eval()
    event = toy_trackster(14, 5)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    other, place = event.clone(), torch.empty_like(order)
    place[order] = torch.arange(14)
    other.x, other.layer, other.edge_index = event.x[order], event.layer[order], place[event.edge_index]
    torch.testing.assert_close(system(other).point_score, system(event).point_score[order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("norm", ["layer", "batch", "none"])
def test_a_trackster_of_one_layer_cluster_trains_and_is_decided(mode, norm):
    system, event = make(mode, norm=norm), toy_trackster(1, 2)
    loss = system.loss(system.train()(event), event).total
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(system.eval()(event).point_score).all())
    assert system.reconstruct(system(event), event).labels.tolist() in ([0], [-1])


def test_batch_norm_of_a_batch_is_close_to_what_inference_uses():
    torch.manual_seed(0)
    norm, rows = RunningNorm(4), torch.randn(4000, 4) * 3 + 2
    for part in rows.split(40):
        norm(part)
    torch.testing.assert_close(norm.eval()(rows), torch.nn.functional.batch_norm(rows, None, None, training=True),
                               atol=0.3, rtol=0.3)  # fmt: skip
    before = norm.running_mean.clone()
    norm.train()(torch.full((1, 4), 100.0))
    assert torch.equal(norm.running_mean, before)


# ---------------------------------------------------------------------- decisions


@pytest.mark.parametrize("per_step", [1, 2, 3, 50])
def test_every_layer_cluster_is_decided_once_and_the_most_confident_first(per_step):
    system = make(decisions={"per_step": per_step})
    batch = Batch.from_data_list(tracksters())
    with torch.no_grad():
        own = system(batch).own
    for graph, size in enumerate(SIZES):
        decided = own["decided_in"][batch.batch == graph]
        count = torch.bincount(decided)
        assert count[:-1].tolist() == [per_step] * (len(count) - 1)
        assert int(count.sum()) == size
        for step in range(len(count)):
            here = (own["step"] == step) & (batch.batch[own["step_row"]] == graph)
            rows, probability = own["step_row"][here], own["step_probability"][here]
            assert sorted(rows.tolist()) == torch.nonzero(
                (batch.batch == graph) & (own["decided_in"] >= step)
            ).flatten().tolist()  # fmt: skip
            assert float(probability.sum()) == pytest.approx(1, abs=1e-5)
            chosen = own["decided_in"][rows] == step
            if not bool(chosen.all()):
                assert float(probability[chosen].min()) >= float(probability[~chosen].max()) - 1e-3


def test_equal_confidences_are_decided_in_order():
    system = make(num_gnn_layers=0)
    torch.nn.init.zeros_(system.mode.network.confidence.last.weight)
    assert system(toy_trackster(6, 3)).own["decided_in"].tolist() == list(range(6))


@pytest.mark.parametrize("mode", MODES)
def test_what_validation_and_inference_say_does_not_depend_on_labels(mode):
    system = make(mode, decisions={"source": "teacher"}).eval()
    event = toy_trackster(12, 4)
    scores = system(event).point_score
    event.point_y = 1 - event.point_y
    assert torch.equal(system(event).point_score, scores)
    del event.point_y
    assert torch.equal(system(event).point_score, scores)
    with torch.inference_mode():
        fast = system(event)
    torch.testing.assert_close(fast.point_score, scores, atol=1e-6, rtol=1e-5)
    assert "step_row" not in fast.own


def test_labels_steer_the_training_of_a_teacher_alone():
    batch = Batch.from_data_list(tracksters())
    other = batch.clone()
    other.point_y = 1 - batch.point_y
    forced, free = make(decisions={"source": "teacher"}), make(decisions={"source": "free"})
    assert not torch.allclose(forced(batch).point_score, forced(other).point_score)
    assert torch.equal(free(batch).point_score, free(other).point_score)
    assert torch.equal(forced.eval().mode.teacher_forced(batch).point_score, forced.train()(batch).point_score)


def test_free_running_equals_teacher_forced_where_the_network_is_right():
    system = make()
    event = toy_trackster(15, 3)
    free = system.eval()(event)
    event.point_y = (free.point_score < 0).float()  # labels that make the network perfect
    forced = system.mode.teacher_forced(event)
    assert torch.equal(forced.point_score, free.point_score)
    assert torch.equal(forced.own["decided_in"], free.own["decided_in"])
    first = int(forced.own["decided_in"].argmin())
    event.point_y[first] = 1 - event.point_y[first]
    assert not torch.equal(system.mode.teacher_forced(event).point_score, free.point_score)


def test_the_share_of_own_decisions_follows_the_epoch_and_survives_a_restart():
    system = make(decisions={"source": "scheduled", "own_share": 0.8, "ramp_epochs": 4})
    found = []
    for epoch in range(6):
        system.after_step(epoch)
        other = make(decisions={"source": "scheduled", "own_share": 0.8, "ramp_epochs": 4})
        other.load_state_dict(system.state_dict())
        found.append(other.mode.own_share())
    assert found == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 0.8])


def test_scheduled_decisions_are_partly_those_of_the_network():
    system = make(decisions={"source": "scheduled", "own_share": 0.5, "ramp_epochs": 1})
    system.after_step(1)
    batch = Batch.from_data_list([toy_trackster(40, seed) for seed in range(10)])
    with torch.no_grad():
        free = (system.eval()(batch).point_score < 0).float()
    batch.point_y = 1 - free[torch.randperm(400)]
    scores = system.train()(batch)
    own = (scores.point_score < 0).float()
    differ = own != batch.point_y
    share = float((scores.own["told"] == own)[differ].float().mean())
    assert 0.5 - 5 * 0.5 / int(differ.sum()) ** 0.5 < share < 0.5 + 5 * 0.5 / int(differ.sum()) ** 0.5


def test_a_new_draw_of_decisions_gives_its_probabilities():
    system = make("one_pass")
    event, generator = toy_trackster(6, 3), torch.Generator().manual_seed(0)
    probability = torch.sigmoid(-system.eval()(event).point_score.detach())
    share = system.sample(event, 4000, generator).float().mean(0)
    torch.testing.assert_close(share, probability, atol=4 * 0.5 / 4000**0.5, rtol=0)


def test_the_first_decision_of_a_sample_has_the_probability_of_its_score():
    system = make()
    event = toy_trackster(5, 3)
    scores = system.eval()(event)
    first = int(scores.own["decided_in"].argmin())
    share = float(system.sample(event, 4000, torch.Generator().manual_seed(0))[:, first].float().mean())
    probability = torch.sigmoid(-scores.point_score.detach()[first])
    assert share == pytest.approx(float(probability), abs=4 * 0.5 / 4000**0.5)


def test_gradients_end_after_the_steps_that_are_asked_for():
    reached = []
    for every in (None, 10, 3, 1):
        system = make(decisions={"detach_every": every})
        scores = system(toy_trackster(9, 2))
        scores.point_score[scores.own["decided_in"].argmax()].backward()
        reached.append(float(system.mode.network.initial[0].weight.grad.abs().sum()) > 0)
    assert reached == [True, True, False, False]


# ---------------------------------------------------------------------- losses


def test_a_step_costs_the_expectation_however_many_are_undecided():
    costs = []
    for num in (1, 4, 40):
        label, graph = torch.ones(num), torch.zeros(num, dtype=torch.int64)
        logit, probability = torch.full((num,), 0.3), torch.full((num,), 1 / num)
        value = expected_loss(logit, probability, torch.arange(num), label, label, graph, 1).total * num
        costs.append(float(value))
    assert costs == pytest.approx([costs[0]] * 3)


def test_the_published_mean_over_the_undecided_is_an_option():
    event = toy_trackster(7, 3)
    system, mean = make(), make(loss={"step_sum": False})
    scores, own = mean(event), mean(event).own
    left = 7 - own["step"]
    entropy = torch.nn.functional.softplus(torch.where(event.point_y[own["step_row"]] > 0, 1, -1) * own["step_logit"])
    torch.testing.assert_close(mean.loss(scores, event).total, (own["step_probability"] / left * entropy).sum() / 7)
    torch.testing.assert_close(system.loss(scores, event).total, (own["step_probability"] * entropy).sum() / 7)


def test_weights_of_classes():
    label = torch.tensor([0.0, 0, 0, 1, 0, 0, 1, 1])
    graph = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    per_graph = class_weights(label, graph, 3, positive=None)
    assert per_graph.tolist() == [1, 1, 1, 3, 1, 1, 0.5, 0.5]  # counts at least 1: 3/1, 2/1, 1/2
    assert class_weights(label, graph, 3, positive=torch.tensor(20.0)).tolist() == [1, 1, 1, 20, 1, 1, 20, 20]
    system = make("nodes", loss={"class_weight": "dataset"})
    num_pruned = sum(int(event.point_y.sum()) for event in tracksters())
    assert float(system.mode.positive_weight) == pytest.approx((sum(SIZES) - num_pruned) / num_pruned)


@pytest.mark.parametrize("mode", MODES[1:])
def test_the_loss_of_a_trackster_is_the_weighted_mean_of_its_cross_entropies(mode):
    system, event = make(mode, loss={"positive_weight": 4.0}), toy_trackster(20, 3)
    logit = system(event).point_score
    classes = torch.stack([torch.zeros_like(logit), -logit], 1)
    wanted = torch.nn.functional.cross_entropy(classes, event.point_y.long(), weight=torch.tensor([1.0, 4.0]))
    assert 0 < float(event.point_y.sum()) < 20
    torch.testing.assert_close(total(system, event), wanted.detach())


def test_what_never_learns_is_named():
    for mode in MODES:
        system, event = make(mode), toy_trackster(12, 3)
        system.loss(system(event), event).total.backward()
        without = {name for name, p in system.named_parameters() if p.grad is None}
        assert without == system.parameters_without_gradient()


def test_it_builds_and_trains_on_the_processor():
    system = get_system("pruning")(PruningConfig())
    assert {p.device.type for p in (*system.parameters(), *system.buffers())} == {"cpu"}
