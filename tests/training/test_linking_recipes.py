"""The linking recipes train; a stopped run has the weights of one that never was; weights start another run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from training_toy import assert_same_weights, quiet

from hitloom.errors import DataError
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.progress import Progress
from hitloom.training.run_config import load_recipe
from hitloom.training.run_data import RunData
from hitloom.training.stop import StopRequested
from hitloom.training.train import train
from trackster_toy import toy_trackster_event

RECIPES = ("linking-ticl", "linking-punet", "linking-small")
CPU = ["training.accelerator=cpu", "training.num_threads=1"]


def data(num_train: int = 3) -> RunData:
    events = [toy_trackster_event(seed, num_particles=8, num_pileup=6) for seed in range(num_train + 2)]
    return RunData(train=events[:num_train], val=events[num_train:], fingerprint="toy")


class StopAt(Progress):
    """Sends this process a signal at a given call of ``advance``."""

    def __init__(self, *, call: int) -> None:
        super().__init__(num_epochs=2)
        self.call, self.num_calls = call, 0

    def advance(self, position: int | None = None) -> None:
        self.num_calls += 1
        if self.num_calls == self.call:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_and_chooses_its_threshold(recipe: str, tmp_path: Path):
    config = load_recipe(recipe, [*CPU, "training.max_epochs=1"])
    outcome = train(config, output=tmp_path, data=data(), progress=quiet(1))
    assert outcome.best_value == pytest.approx(outcome.metrics["val_loss"])
    for name in ("val_f1", "val_signal_precision", "val_cross_recall", "val_pileup_lr_plus", "val_lost_energy"):
        assert name in outcome.metrics
    best = load_checkpoint(outcome.best)
    assert bool(best.weights["network.inputs.fitted"])
    assert best.config.model.threshold == pytest.approx(round(best.config.model.threshold / 0.05) * 0.05)
    event = toy_trackster_event(50)
    system = best.build_system()
    with torch.no_grad():
        labels = system.reconstruct(system(event), event).labels
    assert labels.shape == (event.num_points,)
    assert int(labels.min()) == 0


SMALL = ["model.hidden=16", "model.edge_hidden=8", "model.num_iterations=1", "training.max_epochs=2"]


@pytest.mark.parametrize(("recipe", "call"), [("linking-punet", 2), ("linking-small", 3)])
def test_stopped_and_resumed_equals_never_stopped(recipe: str, call: int, tmp_path: Path):
    config = load_recipe(recipe, [*CPU, *SMALL, "data.batch_size=1"])
    whole = train(config, output=tmp_path / "whole", data=data(), progress=quiet(2))
    with pytest.raises(StopRequested):
        train(config, output=tmp_path / "cut", data=data(), progress=StopAt(call=call))
    last = load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")
    again = train(config, output=tmp_path / "cut", data=data(), resume=last, progress=quiet(2))
    assert_same_weights(whole.last, again.last)
    assert_same_weights(whole.best, again.best)
    assert load_checkpoint(whole.best).config.model.threshold == load_checkpoint(again.best).config.model.threshold


def test_punet_starts_from_weights_that_lack_its_head(tmp_path: Path):
    settings = [*CPU, *SMALL, "training.max_epochs=1"]
    bare = load_recipe("linking-punet", [*settings, "model.loss.pu_weight=null", "model.loss.contrastive_weight=0"])
    first = load_checkpoint(train(bare, output=tmp_path / "first", data=data(), progress=quiet(1)).last)
    config = load_recipe("linking-punet", [*settings, "training.lr=1e-12", "training.weight_decay=0"])
    second = train(config, output=tmp_path / "second", data=data(), init=first, progress=quiet(1))
    weights = load_checkpoint(second.last).weights
    assert any(name.startswith("network.pu_head") for name in weights)
    for name, value in first.weights.items():
        if name != "alpha":
            torch.testing.assert_close(weights[name], value, atol=1e-6, rtol=0)


def test_events_without_edges_or_truth_are_said_before_training(tmp_path: Path):
    events = data()
    for event in events.train:
        del event.edge_y
    with pytest.raises(DataError, match="field 'edge_y' is needed"):
        train(load_recipe("linking-small", CPU), output=tmp_path, data=events, progress=quiet())
