"""Evaluation of shower growing: numbers against scikit-learn hit by hit, rows that come by themselves, mistakes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shower_results import result_of, shower_views
from sklearn.metrics import accuracy_score, adjusted_rand_score, f1_score

from hitloom.data.shower_merge import merge_clusters
from hitloom.data.shower_truth import similarity_target
from hitloom.data.shower_write import write_pandora
from hitloom.errors import DataError
from hitloom.report.evaluate import evaluate_results
from hitloom.report.family import family_of
from hitloom.report.showers.added import perfect_showers
from hitloom.report.showers.collect import collect
from hitloom.report.showers.columns import hit_truth
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.showers.family import grouping_of
from hitloom.report.showers.iterations import iteration_block, iteration_curve, iteration_table
from hitloom.report.showers.text import clustering_text, side_by_side_lines, similarity_text
from hitloom.report.showers.view import view_of
from hitloom.report.sources import Opened
from hitloom.result import Result
from shower_toy import toy_view

SMALL = ShowerEvaluationConfig(num_resamples=50, plots=False, display=False)


@pytest.fixture(scope="module")
def events():
    return shower_views()


@pytest.fixture(scope="module")
def metrics(events):
    others = {"weak": [result_of(event, power=1.0) for event in events]}
    return evaluate_results([result_of(event) for event in events], events=events, config=SMALL, baselines=others)


def mean_index(events, labels, keep=lambda event, truth: truth >= 0):
    """Mean adjusted Rand index over views, hit by hit."""
    found = []
    for event in events:
        truth = hit_truth(event)
        mine = keep(event, truth)
        group = labels(event).numpy()[event.part_point_index.numpy()]
        if mine.sum() > 10:
            found.append(adjusted_rand_score(truth[mine], group[mine]))
    return np.mean(found)


def index_of(metrics, hits="all", view="all", name="ari"):
    return metrics["partitions"][hits][view][name]["value"]


def test_wire_views_choose_the_family(events):
    assert family_of(events).name == "showers"


def test_index_equals_scikit_learn_over_all_views_each_view_and_kind_of_hits(events, metrics):
    labels = lambda event: result_of(event).labels  # noqa: E731
    assert index_of(metrics) == pytest.approx(mean_index(events, labels))
    plane = [event for event in events if int(event.event_id) % 10 == 5]
    assert index_of(metrics, view="V") == pytest.approx(mean_index(plane, labels))

    def of_showers(event, truth):
        return (truth >= 0) & np.isin(np.abs(event.object_pdg.numpy()), (11, 22))[np.maximum(truth, 0)]

    assert index_of(metrics, "shower") == pytest.approx(mean_index(events, labels, of_showers))


def test_rows_that_nobody_named_stand_beside_the_result(metrics):
    rows = metrics["baselines"]
    assert {"none", "rules", "target", "perfect", "perfect_showers"} <= rows.keys()
    others = [name for name in rows if name.startswith("shower_growing")]
    assert len(others) == 2  # the third one is 'rules'
    assert index_of(rows["rules"]) >= max(index_of(rows[name]) for name in others)
    assert index_of(rows["target"]) >= index_of(metrics) >= index_of(rows["weak"])
    assert index_of(rows["perfect"], name="purity") == pytest.approx(index_of(rows["none"], name="purity"))


def test_no_merging_has_every_cluster_as_its_own_group(events, metrics):
    assert metrics["baselines"]["none"]["per_event"]["num_groups"] == [event.num_points for event in events]


def test_perfect_showers_merge_showers_alone(events):
    event = events[0]
    labels, owner = perfect_showers(event).labels, event.object_index
    shower = (owner >= 0) & torch.isin(event.object_pdg.abs(), torch.tensor([11, 22]))[owner.clamp(min=0)]
    same = (labels[:, None] == labels) & ~torch.eye(len(labels), dtype=torch.bool)
    assert torch.equal(same, (owner[:, None] == owner) & shower & shower[:, None] & ~torch.eye(len(labels)).bool())


def test_rates_of_pairs_equal_scikit_learn_above_the_threshold(events, metrics):
    found, target = [], []
    for event in events:
        result = result_of(event)
        one, other = result.edge_index
        found.append(result.edge_score.sigmoid().numpy())
        target.append(similarity_target(event)[one, other].numpy())
    found, target = np.concatenate(found), np.concatenate(target)
    rates = metrics["similarity"]["all"]["all"]["rates"]
    assert rates["mae"]["value"] == pytest.approx(np.abs(found - target).mean(), rel=1e-5)
    assert rates["acc"]["value"] == pytest.approx(accuracy_score(target > 0.6, found > 0.6))
    assert rates["f1"]["value"] == pytest.approx(f1_score(target > 0.6, found > 0.6))


def test_text_files_hold_the_published_lines(metrics):
    lines = clustering_text(metrics).splitlines()
    assert lines[0] == "n events 18"
    names = [line.rpartition(" ")[0] for line in lines]
    for word in ("pred", "target", "perfect", "initial"):
        assert {f"{word} ari", f"{word} purity", f"{word} completeness"} <= set(names)
    assert float(lines[names.index("pred ari")].split()[-1]) == pytest.approx(index_of(metrics), rel=1e-6)
    rows = [line.split() for line in similarity_text(metrics).splitlines()]
    assert {row[0] for row in rows} == {"all", "U", "V", "W"}
    assert [row[1] for row in rows[:8]] == ["n_events", "mae", "mse", "acc", "bal_acc", "prec", "rec", "f1"]


def test_results_without_pairs_say_so(events):
    config = SMALL.model_copy(update={"added": ()})
    found = evaluate_results([result_of(event, pairs=False) for event in events], events=events, config=config)
    assert found["similarity"] is None
    assert similarity_text(found) == ""
    assert any("no scores of pairs" in text for text in found["diagnostics"])


def test_another_reconstruction_with_fewer_slices_is_compared_on_the_common_ones(events):
    class Mine(Opened):
        pass

    common = [event for event in events if int(event.event_id) // 10 in (1, 2)]
    other = Opened(
        name="other.root", own_events=common,
        items=[Result(event_id=int(event.event_id), point_id=event.point_id,
                      labels=torch.arange(event.num_points)) for event in common],
    )  # fmt: skip
    config = SMALL.model_copy(update={"added": ()})
    results = [result_of(event) for event in events]
    found = evaluate_results(results, events=events, config=config, baselines={"reco": other})
    compared = found["comparisons"]["reco"]
    mine = mean_index(common, lambda event: result_of(event).labels)
    its = mean_index(common, lambda event: torch.arange(event.num_points))
    assert compared["num_events"] == 6
    assert compared["rates"]["all"]["ari"]["second"] == pytest.approx(mine)
    assert compared["rates"]["all"]["ari"]["first"] == pytest.approx(its)
    assert "reco: compared on the 6 views that both have" in "\n".join(side_by_side_lines(found))


def test_a_comparison_with_itself_differs_by_nothing(events):
    results = [result_of(event) for event in events]
    config = SMALL.model_copy(update={"added": ()})
    found = evaluate_results(results, events=events, config=config, baselines={"same": results})
    entry = found["comparisons"]["same"]["rates"]["all"]["ari"]
    assert entry["difference"] == 0
    assert entry["interval"] == [0, 0]


def test_intervals_resample_slices_with_all_their_views(metrics):
    assert "bootstrap over 6 slices" in metrics["choices"]["interval"]
    low, high = metrics["partitions"]["all"]["all"]["ari"]["interval"]
    assert low < index_of(metrics) < high


def test_hits_of_small_particles_and_clusters_without_group_follow_the_options(events):
    event = events[0]
    result = result_of(event)
    labels = result.labels.clone()
    labels[0] = -1
    left = Result(event_id=result.event_id, point_id=result.point_id, labels=labels)
    counts = {}
    for choice in ("own", "drop"):
        config = SMALL.model_copy(update={"unassigned": choice, "added": ()})
        found, _ = collect(Opened(name="toy", items=[left]), [event], config)
        counts[choice] = sum(block["num_particles"] for block in found["particles"]["by_kind"].values())
        assert found["per_event"]["num_groups"] == [len(labels.unique())]
    hits = np.bincount(hit_truth(event)[hit_truth(event) >= 0])
    config = SMALL.model_copy(update={"min_particle_hits": int(hits.min()) + 1, "added": ()})
    found, _ = collect(Opened(name="toy", items=[result]), [event], config)
    whole = mean_index(
        [event], lambda event: result.labels, lambda event, truth: np.append(hits, 0)[truth] > hits.min()
    )
    assert index_of(found) == pytest.approx(whole)


def test_one_single_group_everywhere_is_called_a_collapse(events):
    one = [
        Result(event_id=int(event.event_id), point_id=event.point_id, labels=torch.zeros(event.num_points).long())
        for event in events
    ]
    found = evaluate_results(one, events=events, config=SMALL.model_copy(update={"added": ()}))
    assert index_of(found) == 0
    assert any("grouping has collapsed" in text for text in found["diagnostics"])


def test_views_of_one_cluster_and_of_few_hits_are_counted_without_an_error():
    views = [toy_view(1, seed=3), toy_view(2, seed=4), toy_view(30, seed=5)]
    found = evaluate_results([result_of(event) for event in views], events=views, config=SMALL)
    assert found["num_events"] == 3
    assert index_of(found) is not None


def test_events_without_truth_and_results_of_other_clusters_are_refused_in_one_line(events):
    blind = toy_view(5, seed=1)
    for name in ("part_share_index", "part_share_fraction"):
        del blind[name]
    with pytest.raises(DataError, match="the true particles of the hits are needed"):
        evaluate_results([result_of(events[0], pairs=False)][:0] or [result_of(blind)], events=[blind], config=SMALL)
    result = result_of(events[0])
    few = Result(event_id=result.event_id, point_id=result.point_id[:-1], labels=result.labels[:-1])
    with pytest.raises(DataError, match="says nothing of 1 of 12 clusters"):
        evaluate_results([few], events=events, config=SMALL)


def test_the_target_row_takes_the_settings_of_the_results():
    meta = {"grouping": {"mode": "accessory", "threshold": 0.45, "accessory_max_hits": 3}}
    assert grouping_of(meta) == {"threshold": 0.45, "accessory_max_hits": 3}
    assert grouping_of({"baseline": "rules"}) == {}


def test_curve_against_iterations_begins_without_merging_and_keeps_what_no_longer_merges(events):
    few = events[:6]

    def history(event):
        if int(event.event_id) == int(few[0].event_id):
            return []
        return [result_of(event).labels, torch.zeros(event.num_points, dtype=torch.int64)]

    rows = iteration_curve(history, few, num_iterations=3, config=SMALL)
    assert [row["iterations"] for row in rows] == [0, 1, 2, 3]
    assert [row["num_merging"] for row in rows] == [0, 5, 5, 0]
    assert rows[0]["groups_per_view"]["value"] == np.mean([event.num_points for event in few])
    assert rows[3]["one_group"]["value"] == pytest.approx(5 / 6)
    table = iteration_table({"iterations": iteration_block({"model": rows})})
    assert [row["number"] for row in table["rows"]] == ["0", "1", "2", "3"]
    assert iteration_table({}) is None


def test_picture_colours_the_largest_group_as_its_particle_and_marks_showers(events):
    from hitloom.report.showers.figures import colours_of, slice_figure

    view = view_of(events[0], result_of(events[0]), SMALL)
    truth, colours = view.labels["true"], np.array(colours_of(view, "true"))
    owner = int(np.bincount(truth[truth >= 0]).argmax())
    groups = view.labels["predicted"][truth == owner]
    predicted = np.array(colours_of(view, "predicted"))[view.labels["predicted"] == np.bincount(groups).argmax()]
    assert {colours[truth == owner][0]} == set(predicted)
    assert view.is_shower().tolist() == np.isin(np.append(view.pdg, 0)[truth], (11, 22)).tolist()
    assert len(slice_figure([view]).axes) == 4


def test_view_limits_come_from_clusters_of_four_hits_or_more():
    event = toy_view(6, seed=2)
    small = int(event.x[:, 0].argmin())
    event.part_x[event.part_point_index == small, 0] = 900.0
    assert event.x[small, 0] < 4
    (_, right), _ = view_of(event, result_of(event), SMALL).limits()
    assert right < 500


def test_a_root_file_of_perfect_clusters_is_as_good_as_the_perfect_row(events, metrics, tmp_path):
    def as_perfect(event):
        alone = torch.arange(event.num_points) + event.num_objects
        return merge_clusters(event, torch.where(event.object_index >= 0, event.object_index, alone))

    write_pandora([as_perfect(event) for event in events[3:9]], tmp_path / "reco.root")
    config = SMALL.model_copy(update={"added": ("perfect",)})
    results = [result_of(event, pairs=False) for event in events]
    found = evaluate_results(results, events=events, config=config, baselines={"reco": str(tmp_path / "reco.root")})
    rows = {name: found["baselines"][name]["per_event"] for name in ("reco", "perfect")}
    assert rows["reco"]["event_id"] == rows["perfect"]["event_id"][3:9]
    for name, values in rows["reco"]["rates"]["all"].items():
        assert values == pytest.approx(rows["perfect"]["rates"]["all"][name][3:9]), name
