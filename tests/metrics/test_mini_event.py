"""Every preset on the real thinned TrackML event: equal to the slow oracle, and frozen.

The answer is spoiled by arithmetic on hit ids, not by a random generator, so the frozen numbers depend on no library.
"""

from __future__ import annotations

import metrics_oracle
import numpy as np
import pandas as pd
import pytest

from hitloom.metrics import (
    PRESETS,
    Evaluator,
    EventTruth,
    LossBudget,
    Selection,
    Stage,
    decode_particle_id,
    drop_hits,
    hit_weights,
    random_solution,
    shuffle_hits,
    track_kinematics,
    trackml_score,
    truth_labels,
)

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def tables(test_data):
    prefix = str(test_data / "trackml-thinned" / "event000000001-")
    ids = {"particle_id": np.int64}
    hits = pd.read_csv(prefix + "hits.csv.gz")
    truth = pd.read_csv(prefix + "truth.csv.gz", dtype=ids)
    particles = pd.read_csv(prefix + "particles.csv.gz", dtype=ids)
    assert (hits.hit_id == truth.hit_id).all()
    return hits, truth, particles


@pytest.fixture(scope="module")
def truth(tables):
    _, hit_truth, particles = tables
    order = np.argsort(particles.particle_id.to_numpy())
    table = particles.particle_id.to_numpy()[order]
    row = np.searchsorted(table, hit_truth.particle_id)
    index = np.where(hit_truth.particle_id == 0, -1, order[np.minimum(row, table.size - 1)])
    px, py, pz = (particles[name].to_numpy() for name in ("px", "py", "pz"))
    return EventTruth(
        object_index=index,
        object_id=particles.particle_id.to_numpy(),
        num_points=particles.nhits.to_numpy(),
        pt=np.hypot(px, py),
        eta=np.arcsinh(pz / np.hypot(px, py)),
        phi=np.arctan2(py, px),
        vertex_radius=np.hypot(particles.vx, particles.vy).to_numpy(),
        weight=hit_truth.weight.to_numpy(),
        weight_name="TrackML phase 2",
    )


def spoil(hit_id, index, num_particles):
    """Labels from truth where 1 hit of 6 moves to another track and 1 of 20 is dropped, by its id alone."""
    mixed = (hit_id.astype(np.uint64) * np.uint64(2654435761)) % np.uint64(1 << 32)
    labels = np.where(mixed % 6 == 0, (mixed // 7 % num_particles).astype(np.int64), index)
    labels = np.where((index < 0) & (mixed % 3 == 0), num_particles + (mixed // 11 % 40).astype(np.int64), labels)
    # Two out of five particles are split in halves by the parity of the hit's id.
    split = (labels >= 0) & (labels % 5 < 2) & (hit_id % 2 == 0)
    labels = np.where(split, labels + 10_000, labels)
    return np.where(mixed % 20 == 1, -1, labels)


@pytest.fixture(scope="module")
def labels(tables, truth):
    return spoil(tables[0].hit_id.to_numpy(), truth.object_index, truth.num_objects)


@pytest.fixture(scope="module")
def metrics(tables, truth, labels):
    evaluator = Evaluator(hit_selection="thinned event, all hits")
    pos = tables[0][["x", "y", "z"]].to_numpy()
    fit = track_kinematics(pos, labels, beam_spot=(0.0, 0.0))
    evaluator.add("1", labels, truth, kinematics=fit)
    return evaluator.result()


def test_the_event_is_what_the_contract_says(truth):
    counts = np.bincount(truth.object_index[truth.object_index >= 0], minlength=truth.num_objects)
    assert (truth.num_hits, int((truth.object_index < 0).sum()), truth.num_objects) == (5527, 829, 548)
    assert (int((counts > 0).sum()), int((counts >= 3).sum())) == (468, 431)
    hard = truth.pt > 1
    assert (int((hard & (counts > 0)).sum()), int((hard & (counts >= 3)).sum())) == (56, 54)
    assert (counts == truth.num_points).all()
    assert np.bincount(decode_particle_id(truth.object_id).generation).tolist() == [430, 106, 12]


def test_presets_equal_the_oracle(tables, truth, labels, metrics):
    particle_ids = tables[1].particle_id.tolist()
    row = {int(p): i for i, p in enumerate(truth.object_id)}
    sizes = dict(zip(truth.object_id.tolist(), truth.num_points.tolist(), strict=True))
    sizes = {p: n for p, n in sizes.items() if n}
    cuts = {
        "eggnet": lambda pt, eta: pt >= 1.0,
        "headline": lambda pt, eta: pt > 1.0 and abs(eta) < 2.5,
        "hepattn": lambda pt, eta: pt > 1.0 and abs(eta) < 2.5,
        "gnn_tracking": lambda pt, eta: pt >= 0.9 and abs(eta) < 4,
        "hitloom": lambda pt, eta: pt > 0.5 and abs(eta) < 4,
    }
    targets = {"eggnet": "pt>=1.0", "headline": "pt>1.0", "hepattn": "pt>1.0", "gnn_tracking": "pt>=0.9"}
    for preset, cut in cuts.items():
        key = targets.get(preset, "pt>0.5")
        wanted = {p for p, n in sizes.items() if n >= 3 and cut(truth.pt[row[p]], truth.eta[row[p]])}
        selection = PRESETS[preset].selections[key]
        counted = metrics["per_event"]["counts"][preset][key]
        for match in PRESETS[preset].matches:
            expected = metrics_oracle.count(
                labels.tolist(), particle_ids, wanted, match, min_track_hits=selection.min_track_hits, rows=row
            )
            got = {name: column[0] for name, column in (counted["common"] | counted["by_match"][match]).items()}
            for name in ("num_track_side", "num_track_side_matched", "num_unfitted_tracks"):
                got.pop(name), expected.pop(name)
            assert got == pytest.approx(expected)


FROZEN: dict[str, dict[str, tuple[int, int]]] = {
    "hitloom pt>1.0": {
        "efficiency.purity50": (53, 54),
        "efficiency.double_majority": (40, 54),
        "efficiency.lhc75": (47, 54),
        "efficiency.perfect": (1, 54),
        "fake_per_track.purity50": (100, 636),
        "fake_per_track.double_majority": (311, 636),
        "fake_per_track.lhc75": (213, 636),
        "fake_per_track.perfect": (629, 636),
        "fake_per_matched_particle.purity50": (100, 419),
        "fake_per_matched_particle.double_majority": (311, 325),
        "fake_per_matched_particle.lhc75": (213, 364),
        "fake_per_matched_particle.perfect": (629, 7),
        "fake_per_selected_track.purity50": (7, 73),
        "fake_per_selected_track.double_majority": (33, 73),
        "fake_per_selected_track.lhc75": (21, 73),
        "fake_per_selected_track.perfect": (72, 73),
        "fake_per_target_or_noise_track.purity50": (51, 117),
        "fake_per_target_or_noise_track.double_majority": (77, 117),
        "fake_per_target_or_noise_track.lhc75": (65, 117),
        "fake_per_target_or_noise_track.perfect": (116, 117),
        "fake_per_target_or_unmatched_track.purity50": (100, 166),
        "fake_per_target_or_unmatched_track.double_majority": (311, 351),
        "fake_per_target_or_unmatched_track.lhc75": (213, 265),
        "fake_per_target_or_unmatched_track.perfect": (629, 630),
        "fake_per_fitted_track.purity50": (11, 89),
        "fake_per_fitted_track.double_majority": (43, 89),
        "fake_per_fitted_track.lhc75": (30, 89),
        "fake_per_fitted_track.perfect": (88, 89),
        "duplicate_per_particle.purity50": (13, 53),
        "duplicate_per_particle.double_majority": (0, 40),
        "duplicate_per_particle.lhc75": (5, 47),
        "duplicate_per_particle.perfect": (0, 1),
        "duplicate_per_track.purity50": (13, 636),
        "duplicate_per_track.double_majority": (0, 636),
        "duplicate_per_track.lhc75": (5, 636),
        "duplicate_per_track.perfect": (0, 636),
        "duplicate_identical": (0, 636),
        "lhc_purity_selected": (52, 73),
        "assigned_fraction": (4704, 5527),
        "assigned_fraction.target": (587, 625),
        "assigned_fraction.other": (3864, 4073),
        "assigned_fraction.noise": (253, 829),
    },
    "headline pt>1.0": {
        "efficiency.double_majority": (30, 42),
        "fake_per_track.double_majority": (311, 636),
        "fake_per_matched_particle.double_majority": (311, 325),
        "fake_per_selected_track.double_majority": (29, 59),
        "fake_per_target_or_noise_track.double_majority": (73, 103),
        "fake_per_target_or_unmatched_track.double_majority": (311, 341),
        "fake_per_fitted_track.double_majority": (35, 74),
        "duplicate_per_particle.double_majority": (0, 30),
        "duplicate_per_track.double_majority": (0, 636),
        "duplicate_identical": (0, 636),
        "assigned_fraction": (4704, 5527),
        "assigned_fraction.target": (451, 482),
        "assigned_fraction.other": (4000, 4216),
        "assigned_fraction.noise": (253, 829),
    },
    "eggnet pt>=1.0": {
        "efficiency.purity50": (54, 54),
        "fake_per_matched_particle.purity50": (140, 446),
        "duplicate_per_particle.purity50": (19, 54),
    },
    "acorn_atlas pt>=1.0": {
        "efficiency.purity50": (53, 54),
        "fake_per_track.purity50": (100, 636),
        "duplicate_per_particle.purity50": (13, 53),
    },
    "acorn_one_way pt>=1.0": {
        "efficiency.one_way": (40, 54),
        "fake_per_track.one_way": (100, 636),
        "duplicate_per_particle.one_way": (0, 40),
    },
    "acorn_two_way pt>=1.0": {
        "efficiency.double_majority": (40, 54),
        "fake_per_track.double_majority": (311, 636),
        "duplicate_per_particle.double_majority": (0, 40),
    },
    "hepattn pt>1.0": {
        "efficiency.one_to_one_double_majority": (30, 42),
        "efficiency.one_to_one_perfect": (1, 42),
        "efficiency.one_to_one_lhc75": (35, 42),
        "fake_one_to_one.one_to_one_double_majority": (35, 74),
        "fake_one_to_one.one_to_one_perfect": (73, 74),
        "fake_one_to_one.one_to_one_lhc75": (35, 74),
        "duplicate_identical": (0, 636),
    },
}
FROZEN_SCORE = 0.5464599605751429


@pytest.mark.parametrize("block", FROZEN)
def test_frozen_values(metrics, block):
    preset, target = block.split()
    entries = metrics["presets"][preset][target]
    got = {
        key: (entry["numerator"], entry["denominator"])
        for key, entry in entries.items()
        if isinstance(entry["numerator"], int)
    }
    assert got == FROZEN[block]


def test_frozen_score(metrics):
    assert metrics["trackml_score"]["value"] == pytest.approx(FROZEN_SCORE, rel=1e-12)
    assert metrics["trackml_score"]["weights"] == ["TrackML phase 2"]


def test_weights_of_the_file_are_phase_2(tables, truth):
    _, hit_truth, particles = tables
    options = {
        "object_index": truth.object_index,
        "object_id": truth.object_id,
        "object_pt": truth.pt,
        "object_vertex_z": particles.vz.to_numpy(),
        "object_num_points": truth.num_points,
        "truth_z": hit_truth.tz.to_numpy(),
    }
    first, second = hit_weights(**options, phase=1), hit_weights(**options, phase=2)
    known = truth.weight > 0
    assert (int(known.sum()), int((second > 0).sum()), int((first > 0).sum())) == (4300, 4300, 4606)
    np.testing.assert_array_equal(second > 0, known)
    np.testing.assert_allclose(second[known], truth.weight[known] / truth.weight.sum(), rtol=1e-5)
    assert truth.weight.sum() == pytest.approx(0.051, abs=5e-4)


def test_scores_of_test_submissions(tables, truth):
    ids = tables[1].particle_id.to_numpy()
    rng = np.random.default_rng(11)
    assert trackml_score(truth_labels(ids, rng=rng), truth).value == pytest.approx(1)
    assert trackml_score(np.zeros(ids.size, np.int64), truth).value == 0
    assert trackml_score(np.arange(ids.size), truth).value == 0
    assert trackml_score(random_solution(ids.size, 500, rng=rng), truth).value < 0.01
    for probability, expected, tolerance in ((0.05, 0.95, 0.01), (0.2, 0.80, 0.02), (0.5, 0.19, 0.04)):
        labels = shuffle_hits(ids, probability, rng=rng)
        value = trackml_score(labels, truth).value
        assert value == pytest.approx(expected, abs=tolerance)
        assert value == pytest.approx(
            metrics_oracle.score(labels.tolist(), ids.tolist(), truth.weight.tolist()), abs=1e-12
        )
    dropped = trackml_score(drop_hits(ids, 0.1, rng=rng), truth).value
    assert dropped == pytest.approx(0.9, abs=0.01)


def test_fitted_pt_of_true_tracks(tables, truth):
    hits = tables[0][["x", "y", "z"]].to_numpy()
    for beam_spot in (None, (0.0, 0.0)):
        fit = track_kinematics(hits, truth.object_index, beam_spot=beam_spot)
        row = fit.track_id
        prompt = (truth.vertex_radius[row] < 1) & (truth.num_points[row] >= 6) & (np.abs(truth.eta[row]) < 1)
        prompt &= truth.pt[row] > 0.4
        ratio = fit.pt[prompt] / truth.pt[row][prompt]
        assert prompt.sum() > 30
        # Field about 2 T in the middle only, real scattering and energy loss: a few per cent.
        assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
        assert np.median(np.abs(ratio - 1)) < 0.05
        assert np.median(np.abs(fit.eta[prompt] - truth.eta[row][prompt])) < 0.01


def test_loss_budget_of_a_filter(tables, truth, labels):
    keep = labels >= 0
    budget = LossBudget(selection=Selection(min_pt=1.0))
    budget.add("1", truth, [Stage(name="input"), Stage(name="filter", present=keep), Stage(name="db", labels=labels)])
    stages = {stage["name"]: stage for stage in budget.result()["stages"]}
    assert stages["input"]["findable"]["numerator"] == 54
    assert stages["filter"]["findable"]["numerator"] == 54
    assert stages["db"]["findable"]["numerator"] == 54 - stages["db"]["lost_here"]


def test_ids_of_the_event_collide_in_float32(tables):
    ids = np.unique(tables[1].particle_id.to_numpy())
    assert (ids.size, np.unique(ids.astype(np.float32)).size) == (469, 467)
    assert EventTruth.from_particle_ids(tables[1].particle_id.to_numpy()).num_objects == 468
