"""Options of the loop: fitted inputs, schedule, early stopping, steps left out, partial weights, working point."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from training_toy import assert_same_weights, quiet, tiny_data

from hitloom.errors import CheckpointError, DataError
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.early import EarlyStopping
from hitloom.training.history import read_history
from hitloom.training.run_config import RunConfig, TrainingSection, build_run_config, load_recipe
from hitloom.training.schedule import Schedule
from hitloom.training.train import TrainOutcome, train


@pytest.fixture(autouse=True)
def hooked_system(monkeypatch: pytest.MonkeyPatch):
    from hitloom.registry import SYSTEMS

    monkeypatch.setitem(SYSTEMS, "hooked", "hooked_system:Hooked")


def hooked(model: dict[str, Any] | None = None, **training: Any) -> RunConfig:
    settings = {
        "max_epochs": 3, "accelerator": "cpu", "warmup_epochs": 0, "lr": 1e-2, "num_threads": 1,
        "monitor": "val_loss", "mode": "min",
    } | training  # fmt: skip
    return build_run_config({"system": "hooked", "model": model or {}, "training": settings})


def run(folder: Path, config: RunConfig, **more: Any) -> TrainOutcome:
    return train(config, output=folder, data=tiny_data(), progress=quiet(), **more)


# ---------------------------------------------------------------------- what is fitted and chosen


def test_inputs_are_fitted_on_training_events_before_the_first_step(tmp_path: Path):  # defect 9
    data = tiny_data()
    largest = max(float(event.pos.abs().max()) for event in data.train)
    for event in data.val:
        event.pos = event.pos * 100
    outcome = train(hooked(max_epochs=1), output=tmp_path, data=data, progress=quiet())
    assert float(load_checkpoint(outcome.best).weights["scale"]) == pytest.approx(largest)


def test_a_resumed_run_does_not_fit_again(tmp_path: Path):
    outcome = run(tmp_path, hooked(max_epochs=1))
    last = load_checkpoint(outcome.last)
    last.weights["scale"].fill_(7.0)
    again = run(tmp_path, hooked(max_epochs=2), resume=last)
    assert float(load_checkpoint(again.last).weights["scale"]) == 7.0


def test_the_working_point_is_chosen_on_validation_events_and_stored(tmp_path: Path):
    outcome = run(tmp_path, hooked(max_epochs=2))
    assert load_checkpoint(outcome.best).config.model.cut == pytest.approx(0.252)
    assert load_checkpoint(outcome.best).build_system().config.cut == pytest.approx(0.252)
    assert load_checkpoint(outcome.last).config.model.cut == 0.5
    limited = run(tmp_path / "limited", hooked(max_epochs=1, limit_val_events=1))
    assert load_checkpoint(limited.best).config.model.cut == pytest.approx(0.251)


def test_steps_are_counted_from_the_first_epochs_number(tmp_path: Path):
    weights = load_checkpoint(run(tmp_path, hooked(max_epochs=2, start_epoch=5)).last).weights
    assert (int(weights["num_steps"]), int(weights["last_epoch"])) == (14, 6)


# ---------------------------------------------------------------------- schedule and optimiser


@pytest.mark.parametrize(("start", "epochs"), [(0, 60), (5, 60)])
def test_the_cosine_schedule_equals_torchs(start: int, epochs: int):
    config = TrainingSection(
        scheduler="cosine", lr=1e-3, min_lr=1e-6, warmup_epochs=0, max_epochs=epochs, start_epoch=start
    )
    weight = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([weight], lr=1e-3)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=start + epochs, eta_min=1e-6)
    own = Schedule(config)
    for epoch in range(start + epochs):
        if epoch >= start:
            assert own.rate(epoch - start) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        peer.step()


def test_the_optimiser_is_the_one_asked_for(tmp_path: Path):
    adam = run(tmp_path / "adam", hooked(optimizer="Adam", weight_decay=0.0, amsgrad=False, eps=1e-6))
    adamw = run(tmp_path / "adamw", hooked(optimizer="AdamW", weight_decay=0.3))
    groups = [load_checkpoint(o.last).training["optimizer"]["param_groups"][0] for o in (adam, adamw)]
    assert (groups[0]["eps"], groups[0]["amsgrad"], groups[0]["weight_decay"]) == (1e-6, False, 0.0)
    assert groups[1]["weight_decay"] == 0.3
    same = run(tmp_path / "same", hooked(optimizer="AdamW", weight_decay=0.0, amsgrad=False, eps=1e-6))
    assert_same_weights(adam.last, same.last)  # without decay the two are one


# ---------------------------------------------------------------------- early stopping


def test_early_stopping_counts_validated_epochs_without_gain():
    early = EarlyStopping(TrainingSection(early_stopping=2, mode="min", min_delta=0.1))
    for value, reached in ((1.0, False), (0.95, False), (None, False), (0.8, False), (0.75, False), (0.72, True)):
        early.observe(value)
        assert early.reached is reached
    early.observe(math.nan)
    assert early.num_bad == 3
    assert not EarlyStopping(TrainingSection()).reached


def test_early_stopping_keeps_the_best_weights_not_the_last(tmp_path: Path):  # defect 4
    config = hooked({"rise": True}, max_epochs=30, early_stopping=2, lr=0.1)
    outcome = run(tmp_path, config)
    rows = read_history(tmp_path / "metrics.csv")
    assert 3 <= len(rows) < 30
    values = [row["val_loss"] for row in rows]
    assert values.index(min(values)) == len(rows) - 3
    assert outcome.best_value == pytest.approx(min(values))
    best, last = (load_checkpoint(path).weights for path in (outcome.best, outcome.last))
    assert any(not torch.equal(best[name], last[name]) for name in best if name.startswith("net"))
    assert load_checkpoint(outcome.best).header["epoch"] == len(rows) - 2


def test_a_run_resumed_before_the_stop_stops_at_the_same_epoch(tmp_path: Path):
    config = hooked({"rise": True}, max_epochs=30, early_stopping=2, lr=0.1)
    whole = run(tmp_path / "whole", config)
    num_epochs = len(read_history(tmp_path / "whole/metrics.csv"))
    cut = run(tmp_path / "cut", hooked({"rise": True}, max_epochs=num_epochs - 1, early_stopping=2, lr=0.1))
    again = run(tmp_path / "cut", config, resume=load_checkpoint(cut.last))
    assert len(read_history(tmp_path / "cut/metrics.csv")) == num_epochs
    assert_same_weights(whole.last, again.last)
    assert_same_weights(whole.best, again.best)
    further = run(tmp_path / "cut", config, resume=load_checkpoint(again.last))  # stopped already: nothing to do
    assert len(read_history(tmp_path / "cut/metrics.csv")) == num_epochs
    assert_same_weights(whole.last, further.last)


# ---------------------------------------------------------------------- gradients and losses beyond measure


def test_a_step_with_a_huge_gradient_is_left_out_late_and_taken_early(tmp_path: Path):
    guard = {"max_gradient_norm": 1e4, "max_gradient_norm_after": 1, "gradient_clip": 1.0}
    run(tmp_path, hooked({"explode_from": 0}, max_epochs=4, **guard))
    left_out = [row.get("train_steps_left_out") or 0 for row in read_history(tmp_path / "metrics.csv")]
    assert left_out == [0, 0, 7, 7]  # epochs 0 and 1 go on, as published ("epoch > 1")
    numbered = hooked({"explode_from": 0}, max_epochs=2, start_epoch=2, **guard)
    outcome = run(tmp_path / "numbered", numbered)
    assert outcome.metrics["train_steps_left_out"] == 7
    first = load_checkpoint(outcome.last).training["optimizer"]["state"]
    assert first == {}  # not one step was taken


def test_a_gradient_that_is_not_finite_is_left_out_at_once(tmp_path: Path):
    outcome = run(tmp_path, hooked({"explode_from": 3, "factor": 1e38}, max_epochs=1, max_gradient_norm=1e4))
    assert outcome.metrics["train_steps_left_out"] == 4
    assert all(bool(torch.isfinite(w).all()) for w in load_checkpoint(outcome.last).weights.values())


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(tmp_path: Path):
    with pytest.raises(DataError, match=r"loss of epoch 1, batch 2 \(event \d+\) is not finite \(part pull\)"):
        run(tmp_path, hooked({"nan_from": 9}))
    kept = load_checkpoint(tmp_path / "checkpoints/last.ckpt")
    assert all(bool(torch.isfinite(w).all()) for w in kept.weights.values())


# ---------------------------------------------------------------------- weights to start from


def test_weights_that_fit_in_part_are_taken_over_and_the_rest_is_said(tmp_path: Path, caplog):
    first = run(tmp_path / "first", hooked(max_epochs=1))
    start = load_checkpoint(first.last)
    renamed = {("net.9.weight" if name == "net.0.weight" else name): w for name, w in start.weights.items()}
    start.weights.clear()
    start.weights.update(renamed)
    with pytest.raises(CheckpointError, match=r"net.0.weight' is missing"):
        run(tmp_path / "strict", hooked(max_epochs=1), init=start)
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        outcome = run(tmp_path / "second", hooked(max_epochs=1, init_strict=False), init=start)
    assert "1 start fresh (net.0.weight), 1 are left out (net.9.weight)" in caplog.text
    assert outcome.last is not None


def test_weights_of_another_shape_start_fresh(tmp_path: Path, caplog):
    start = load_checkpoint(run(tmp_path / "first", hooked(max_epochs=1)).last)
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        run(tmp_path / "second", hooked({"width": 11}, max_epochs=1, init_strict=False), init=start)
    assert "3 start fresh (net.0.weight, net.0.bias, net.3.weight), 0 are left out (none)" in caplog.text


def test_weights_of_which_nothing_fits_are_refused(tmp_path: Path):
    start = load_checkpoint(run(tmp_path / "first", hooked(max_epochs=1)).last)
    strangers = {f"other.{name}": w for name, w in start.weights.items()}
    start.weights.clear()
    start.weights.update(strangers)
    with pytest.raises(CheckpointError, match="weights of another architecture"):
        run(tmp_path / "second", hooked(max_epochs=1, init_strict=False), init=start)


def test_the_published_numbers_stand_in_the_recipes():
    gnn, punet = (load_recipe(name).training for name in ("linking-ticl", "linking-punet"))
    assert (gnn.optimizer, gnn.lr, gnn.weight_decay, gnn.amsgrad) == ("Adam", 1e-3, 0.0, False)
    assert (gnn.scheduler, gnn.start_epoch, gnn.max_epochs, gnn.min_lr) == ("cosine", 0, 60, 1e-6)
    assert (punet.optimizer, punet.lr, punet.betas, punet.eps) == ("AdamW", 2e-5, (0.9, 0.95), 1e-8)
    assert (punet.weight_decay, punet.amsgrad, punet.init_strict) == (0.01, True, False)
    assert (punet.scheduler, punet.start_epoch, punet.max_epochs, punet.min_lr) == ("cosine", 5, 60, 0.0)
    for training in (gnn, punet):
        assert (training.early_stopping, training.min_delta, training.gradient_clip) == (20, 0.0, 1.0)
        assert (training.max_gradient_norm, training.max_gradient_norm_after) == (1e4, 5)
        assert (training.monitor, training.mode) == ("val_loss", "min")
    gnn_loss, punet_loss = (load_recipe(name).model.loss for name in ("linking-ticl", "linking-punet"))
    assert (gnn_loss.targets, gnn_loss.gamma, gnn_loss.weight.scale) == ("hard", 2.0, 300.0)
    assert (punet_loss.targets, punet_loss.margin) == ("soft", 2.0)
    assert (punet_loss.focal_weight, punet_loss.contrastive_weight, punet_loss.view) == (100.0, 1e-4, "event")
