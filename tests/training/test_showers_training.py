"""Training of shower growing: merged views as further tiers, features switched on later, a collapse noticed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from showers_training_toy import MERGES_MUCH, showers_config, showers_data
from test_resume import SignalAt
from training_toy import assert_same_weights, quiet

from hitloom.data.collation import collate_events
from hitloom.data.shower_layout import CLUSTER_FEATURES
from hitloom.data.shower_truth import similarity_target
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.grouping.accessory import connected_accessory
from hitloom.result import Scores
from hitloom.systems.showers import Showers
from hitloom.systems.showers.augment import highest_tier, merged_views
from hitloom.systems.showers.collapse import CollapseWatch
from hitloom.systems.showers.config import AugmentationConfig
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.history import read_history
from hitloom.training.stop import StopRequested
from hitloom.training.train import train
from shower_toy import toy_view

TIER = CLUSTER_FEATURES.index("tier")


def true_scores(batch: Event) -> Scores:
    """Scores of a network that knows the truth."""
    sizes = batch.ptr.diff() if "ptr" in batch else torch.tensor([batch.num_points])
    return Scores(own={"similarity": similarity_target(batch).flatten(), "sizes": sizes})


def apart(num_clusters: int) -> Event:
    """A view in which no two clusters are of one particle."""
    event = toy_view(num_clusters, num_objects=num_clusters, mixed=0.0, without_truth=0.0)
    keep = torch.arange(num_clusters)
    event.share_index, event.share_fraction = torch.stack([keep, keep]), torch.ones(num_clusters)
    event.object_id, event.object_pdg = keep, torch.full((num_clusters,), 11)
    event.part_share_index = torch.stack([torch.arange(len(event.part_x)), event.part_point_index])
    event.part_share_fraction = torch.ones(len(event.part_x))
    event.object_index = keep
    return event


# ---------------------------------------------------------------------- tiers


def test_the_highest_tier_rises_with_the_epochs():
    config = AugmentationConfig(enabled=True, warmup_epochs=3, epochs_per_tier=2, max_tier=2)
    assert [highest_tier(config, epoch) for epoch in range(10)] == [0, 0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert highest_tier(config.model_copy(update={"enabled": False}), 9) == 0
    assert highest_tier(config.model_copy(update={"max_tier": None}), 13) == 5


def test_the_next_tier_is_each_view_merged_by_its_own_groups():
    config = showers_config(MERGES_MUCH).model
    events = [toy_view(12, 1), toy_view(7, 2), toy_view(2, 3)]
    batch = collate_events(events)
    merged = merged_views(config, true_scores(batch), batch, draws=False)
    assert merged is not None
    expected = []
    for event in events:
        labels = connected_accessory(similarity_target(event), event.x[:, 0].long(), threshold=0.4)
        if int(labels.max()) + 1 < len(labels):
            expected.append((int(event.event_id), int(labels.max()) + 1, float(event.x[:, 0].sum())))
    found = [(int(v.event_id), v.num_points, float(v.x[:, 0].sum())) for v in merged.to_data_list()]
    assert found == expected
    assert bool((merged.x[:, TIER] == 1).all())


def test_views_in_which_nothing_merges_drop_out_and_the_last_ends_the_passes():
    config = showers_config(MERGES_MUCH).model
    alone = apart(4)
    one = toy_view(9, 4, num_objects=1, mixed=0.0, without_truth=0.0)
    batch = collate_events([alone, one, alone])
    merged = merged_views(config, true_scores(batch), batch, draws=False)
    assert merged is not None
    assert (merged.num_graphs, merged.event_id.tolist()) == (1, [int(one.event_id)])
    assert merged.num_points == 1
    assert merged_views(config, true_scores(merged), merged, draws=False) is None
    assert merged_views(config, true_scores(collate_events([alone])), collate_events([alone]), draws=False) is None
    empty = toy_view(0)
    assert merged_views(config, true_scores(empty), empty, draws=False) is None


def test_numbers_of_hits_and_clusters_stay_in_their_own_columns_after_a_merge():
    system = Showers(showers_config(MERGES_MUCH, {"tier": True}).model).eval()
    batch = collate_events([toy_view(12, 1), toy_view(7, 2)])
    merged = merged_views(system.config, true_scores(batch), batch, draws=False)
    rows, cluster = system.inputs(merged)
    columns = dict(zip(system.inputs.names, rows.T, strict=True))
    assert torch.allclose(columns["num_hits"].exp(), merged.x[cluster, 0], rtol=1e-5)
    sizes = merged.ptr.diff()[merged.batch]
    assert torch.allclose(columns["num_clusters"].exp(), sizes[cluster].float(), rtol=1e-5)
    assert float(columns["num_hits"].exp().max()) != float(columns["num_clusters"].exp().max())


def test_the_share_of_batches_that_go_on_follows_the_probability():
    config = showers_config(MERGES_MUCH | {"probability": 0.3}).model
    event = toy_view(9, 4, num_objects=1)
    torch.manual_seed(0)
    taken = [merged_views(config, true_scores(event), event, draws=True) is not None for _ in range(200)]
    assert 35 <= sum(taken) <= 85
    torch.manual_seed(0)
    again = [merged_views(config, true_scores(event), event, draws=True) is not None for _ in range(200)]
    assert taken == again
    assert all(merged_views(config, true_scores(event), event, draws=False) is not None for _ in range(5))


# ---------------------------------------------------------------------- the loop


def merging(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int, int]]:
    """Let the network predict what merges (it learns little here); return a log of (training, tier, clusters)."""
    seen: list[tuple[bool, int, int]] = []
    forward = Showers.forward

    def noted(self: Showers, event: Event) -> Scores:
        seen.append((self.training, int(event.x[:, TIER].max()), event.num_points))
        scores = forward(self, event)
        own = {**scores.own, "similarity": 0.05 * scores.own["similarity"] + 0.9 * similarity_target(event).flatten()}
        return Scores(own=own)

    monkeypatch.setattr(Showers, "forward", noted)
    return seen


def test_every_tier_is_trained_and_validated_with_a_loss_of_its_own(tmp_path: Path, monkeypatch):
    seen = merging(monkeypatch)
    config = showers_config(MERGES_MUCH | {"warmup_epochs": 0, "max_tier": 2}, max_epochs=3)
    outcome = train(config, output=tmp_path, data=showers_data(), progress=quiet())
    rows = read_history(tmp_path / "metrics.csv")
    assert "train_loss_tier_0" not in rows[0]
    assert "val_loss_tier_1" not in rows[0]
    for row in rows[1:]:
        assert row["train_loss_tier_0"] == pytest.approx(row["train_loss"])
        assert row["train_loss_tier_1"] >= 0
        assert row["val_loss_tier_1"] >= 0
        assert row["val_loss_tier_1"] != row["val_loss"]
    # what is monitored is the loss of the first tier alone: that of a network whose views nothing merges
    state = load_checkpoint(outcome.last).build_system()
    batches = [collate_events(showers_data().val[i : i + 2]) for i in (0, 2)]
    with torch.no_grad():
        plain = sum(float(state.loss(state(b), b).total) * b.num_graphs for b in batches) / 3
    assert rows[-1]["val_loss"] == pytest.approx(plain, rel=1e-5)
    assert {tier for training, tier, _ in seen if training} >= {0, 1}
    assert {tier for training, tier, _ in seen if not training} >= {0, 1}


def test_the_cycle_of_the_rate_does_not_advance_with_merged_batches(tmp_path: Path, monkeypatch):
    merging(monkeypatch)
    plain = train(showers_config(), output=tmp_path / "a", data=showers_data(), progress=quiet())
    merged = train(showers_config(MERGES_MUCH), output=tmp_path / "b", data=showers_data(), progress=quiet())
    states = [load_checkpoint(outcome.last).training for outcome in (plain, merged)]
    assert states[1]["step"] > states[0]["step"] == 9
    rates = [[group["lr"] for group in state["optimizer"]["param_groups"]] for state in states]
    assert rates[0] == rates[1]
    rows = [read_history(tmp_path / name / "metrics.csv") for name in "ab"]
    assert [row["lr"] for row in rows[0]] == [row["lr"] for row in rows[1]]


def test_validation_of_merged_views_is_the_same_every_time(tmp_path: Path, monkeypatch):
    merging(monkeypatch)
    config = showers_config(MERGES_MUCH | {"probability": 0.5}, lr=1e-12, max_epochs=4)
    train(config, output=tmp_path, data=showers_data(), progress=quiet())
    rows = read_history(tmp_path / "metrics.csv")
    assert len({round(row["val_loss_tier_1"], 7) for row in rows[1:]}) == 1
    assert len({round(row["val_loss"], 7) for row in rows}) == 1


@pytest.mark.parametrize("call", [4, 8])
def test_augmented_training_survives_a_stop_bit_for_bit(tmp_path: Path, monkeypatch, call: int):
    merging(monkeypatch)
    config = showers_config(MERGES_MUCH | {"probability": 0.7}, inputs={"tier": True, "added_from_epoch": 2})
    train(config, output=tmp_path / "whole", data=showers_data(), progress=quiet())
    with pytest.raises(StopRequested):
        train(config, output=tmp_path / "cut", data=showers_data(), progress=SignalAt(call=call))
    checkpoint = load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")
    train(config, output=tmp_path / "cut", data=showers_data(), resume=checkpoint, progress=quiet())
    assert_same_weights(tmp_path / "whole/checkpoints/last.ckpt", tmp_path / "cut/checkpoints/last.ckpt")
    whole, cut = (read_history(tmp_path / name / "metrics.csv") for name in ("whole", "cut"))
    for ours, theirs in zip(whole, cut, strict=True):
        assert {k: v for k, v in ours.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in theirs.items() if k != "seconds"}, rel=1e-6
        )


def test_merged_batches_and_joined_steps_exclude_each_other(tmp_path: Path):
    with pytest.raises(ConfigError, match="training.accumulate: no more than 1"):
        train(showers_config(MERGES_MUCH, accumulate=2), output=tmp_path, data=showers_data(), progress=quiet())


def test_grouping_and_loss_are_in_float32_under_bfloat16(monkeypatch):
    system = Showers(showers_config(MERGES_MUCH).model)
    batch = collate_events([toy_view(12, 1), toy_view(7, 2)])
    seen: list[torch.dtype] = []
    import hitloom.systems.showers.augment as augment

    def noted(similarity: torch.Tensor, *more: Any, **options: Any) -> torch.Tensor:
        seen.append(similarity.dtype)
        return connected_accessory(similarity, *more, **options)

    monkeypatch.setattr(augment, "connected_accessory", noted)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = system(batch)
        loss = system.loss(scores, batch)
        system.next_pass(scores, batch, tier=1)
    assert scores.own["similarity"].dtype == loss.total.dtype == torch.float32
    assert set(seen) == {torch.float32}
    values = scores.own["similarity"].detach()
    assert not torch.equal(values, values.bfloat16().float())


SCRIPT = """
import os, sys, warnings
warnings.simplefilter("ignore")
sys.path[:0] = {paths!r}
from showers_training_toy import MERGES_MUCH, showers_config, showers_data
from hitloom.systems.showers import Showers
from hitloom.training.train import train

own = Showers.next_pass
def uneven(self, scores, batch, *, tier):
    if self.training and int(os.environ.get("LOCAL_RANK", "0")) == 1:
        return None  # this process has nothing to merge, the other one has
    scores.own["similarity"] = (scores.own["similarity"] * 0 + 0.9) if tier == 1 else scores.own["similarity"]
    return own(self, scores, batch, tier=tier)
Showers.next_pass = uneven

if __name__ == "__main__":
    config = showers_config(MERGES_MUCH, max_epochs=2, devices=2, strategy="ddp")
    outcome = train(config, output={output!r}, data=showers_data())
    os.write(1, f"rank {{outcome.rank}}\\n".encode())
"""


@pytest.mark.slow
def test_two_processes_with_unequal_numbers_of_tiers_do_not_wait_for_each_other(tmp_path: Path):
    here = Path(__file__).resolve().parent
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(paths=[str(here), str(here.parent)], output=str(tmp_path / "run")))
    answer = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=500, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert "rank 0" in answer.stdout
    assert "rank 1" in answer.stdout
    rows = read_history(tmp_path / "run/metrics.csv")
    assert rows[1]["train_loss_tier_1"] >= 0
    assert load_checkpoint(tmp_path / "run/checkpoints/last.ckpt").training["step"] > 2 * 2


# ---------------------------------------------------------------------- features from an epoch on


def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool, bool]]:
    """Return a log of (epoch of the network, training, whether appended columns were the true ones)."""
    from hitloom.systems.showers.inputs import HitInputs

    log: list[tuple[int, bool, bool]] = []
    forward: Callable[..., Any] = HitInputs.forward

    def noted(self: HitInputs, event: Event) -> Any:
        rows, cluster = forward(self, event)
        column = rows[:, self.names.index("num_hits")]
        true = torch.allclose(column, event.x[cluster, 0].log(), atol=1e-5)
        log.append((int(self.epoch), self.training, true))
        return rows, cluster

    monkeypatch.setattr(HitInputs, "forward", noted)
    return log


def test_appended_features_are_switched_on_at_their_epoch_and_stay_so_after_a_stop(tmp_path: Path, monkeypatch):
    log = shown(monkeypatch)
    config = showers_config(inputs={"added_from_epoch": 2}, max_epochs=4)
    train(config, output=tmp_path / "whole", data=showers_data(), progress=quiet())
    assert {(epoch, true) for epoch, _, true in log} == {(0, False), (1, False), (2, True), (3, True)}
    assert {(epoch, training) for epoch, training, _ in log} >= {(1, True), (1, False), (2, True), (2, False)}
    log.clear()
    with pytest.raises(StopRequested):
        train(config, output=tmp_path / "cut", data=showers_data(), progress=SignalAt(call=12))  # within epoch 2
    train(
        config, output=tmp_path / "cut", data=showers_data(), progress=quiet(),
        resume=load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt"),
    )  # fmt: skip
    assert all(true == (epoch >= 2) for epoch, _, true in log)
    assert_same_weights(tmp_path / "whole/checkpoints/last.ckpt", tmp_path / "cut/checkpoints/last.ckpt")


def test_the_epoch_of_appended_features_counts_from_the_first_epochs_number(tmp_path: Path, monkeypatch):
    log = shown(monkeypatch)
    config = showers_config(inputs={"added_from_epoch": 2}, max_epochs=2, start_epoch=1)
    train(config, output=tmp_path, data=showers_data(), progress=quiet())
    assert {(epoch, true) for epoch, _, true in log} == {(1, False), (2, True)}


# ---------------------------------------------------------------------- collapse


def test_a_collapse_is_said_once_with_its_mend(tmp_path: Path, monkeypatch, caplog):
    def flat(self: Showers, event: Event) -> Scores:
        scores = forward(self, event)
        own = {**scores.own, "similarity": scores.own["similarity"] * 1e-3 + 0.5}
        return Scores(own=own)

    forward = Showers.forward
    monkeypatch.setattr(Showers, "forward", flat)
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        train(showers_config(max_epochs=5), output=tmp_path, data=showers_data(), progress=quiet())
    lines = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert len(lines) == 1
    assert "mend: a smaller training.lr" in lines[0]
    row = read_history(tmp_path / "metrics.csv")[-1]
    assert row["val_similarity_variance"] < 0.01 * row["val_target_variance"]


def test_a_network_that_has_just_begun_may_be_flat():
    def values(share: float) -> dict[str, float]:
        return {"val_similarity_variance": 0.2 * share, "val_target_variance": 0.2}

    young, old = CollapseWatch(), CollapseWatch()
    assert [bool(young(values(share))) for share in (0.001, 0.001, 0.5, 0.4)] == [False] * 4
    assert [bool(old(values(share))) for share in (0.5, 0.001)] == [False, True]
    assert young({}) is None
    assert young({"val_similarity_variance": 0.0, "val_target_variance": 0.0}) is None
