"""Pruning in the training loop: two processes equal one, stopped equals never stopped, one seed gives one run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import SignalAt
from training_toy import assert_same_weights, quiet

from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.history import read_history
from hitloom.training.run_config import RunConfig, build_run_config
from hitloom.training.run_data import RunData
from hitloom.training.stop import StopRequested
from hitloom.training.train import train
from hitloom.training.validation import rates_of, validate
from pruning_toy import toy_trackster

TESTS = Path(__file__).resolve().parents[1]
SCHEDULED = {"mode": "autoregressive", "decisions": {"source": "scheduled", "draw": "sample", "ramp_epochs": 3}}


def pruning_config(model: dict[str, Any] | None = None, *, batch_size: int = 4, **training: Any) -> RunConfig:
    settings = {
        "max_epochs": 2, "accelerator": "cpu", "warmup_epochs": 0, "lr": 1e-2, "num_threads": 1,
        "monitor": "val_loss", "mode": "min",
    } | training  # fmt: skip
    small = {"mode": "multistep", "hidden": 8, "num_gnn_layers": 1, "num_iterations": 2, "heads": "shallow"}
    data = {"batch_size": batch_size, "bucket_by_size": True}
    return build_run_config({"system": "pruning", "model": small | (model or {}), "data": data, "training": settings})


def pruning_data(num_train: int = 16, num_val: int = 7) -> RunData:
    sizes = [1 + (5 * seed) % 13 for seed in range(num_train + num_val)]
    events = [toy_trackster(size, seed) for seed, size in enumerate(sizes)]
    return RunData(train=events[:num_train], val=events[num_train:], fingerprint="toy")


def without_times(folder: Path) -> list[dict[str, Any]]:
    rows = read_history(folder / "metrics.csv")
    return [{name: value for name, value in row.items() if name not in ("seconds", "step")} for row in rows]


# ---------------------------------------------------------------------- processes

SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path[:0] = [{tests!r}, {tests!r} + "/training"]
from test_pruning_training import pruning_config, pruning_data
from hitloom.training.train import train
if __name__ == "__main__":
    config = pruning_config({model!r}, batch_size=2, devices=2, strategy="ddp")
    train(config, output={output!r}, data=pruning_data())
"""
NO_CHANCE = {"head_dropout": 0.0}
TREE = {"mode": "tree", "tree": {"backbone": "sage", "num_steps": 1, "dropout": 0.1}}


@pytest.mark.slow
def test_two_processes_with_the_same_total_batch_are_one(tmp_path: Path):  # defect 20
    script, pair, alone = tmp_path / "run.py", tmp_path / "pair", tmp_path / "alone"
    script.write_text(SCRIPT.format(tests=str(TESTS), model=NO_CHANCE, output=str(pair)))
    answer = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    train(pruning_config(NO_CHANCE), output=alone, data=pruning_data(), progress=quiet())
    ours, theirs = (load_checkpoint(folder / "checkpoints/last.ckpt") for folder in (pair, alone))
    assert ours.training["world_size"] == 2
    for name, value in theirs.weights.items():
        torch.testing.assert_close(ours.weights[name], value, atol=1e-5, rtol=1e-4)
    rows = list(zip(without_times(pair), without_times(alone), strict=True))
    assert len(rows) == 2
    for two, one in rows:
        assert two == pytest.approx(one, rel=1e-4)
        counted = ("val_precision", "val_recall", "val_f1", "val_accuracy", "val_exact_match")
        assert [two[name] for name in counted] == [one[name] for name in counted]
    # the seven events of validation are an odd number: each counts once, whichever process had it
    sums = validate(ours.build_system(), enumerate(pruning_data().val), device=torch.device("cpu"), seed=0, targets={})
    assert sums["num_events"] == 7
    expected = rates_of(ours.build_system(), sums)
    assert {name: rows[-1][0][name] for name in expected} == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------------- stop and resume


@pytest.mark.parametrize("model", [SCHEDULED, TREE])
@pytest.mark.parametrize("call", [3, 8])  # within the first epoch, and within the second
def test_stopped_and_resumed_equals_never_stopped(tmp_path: Path, model: dict[str, Any], call: int):
    config, data = pruning_config(model), pruning_data(14, 3)
    train(config, output=tmp_path / "whole", data=data, progress=quiet())
    with pytest.raises(StopRequested):
        train(config, output=tmp_path / "cut", data=data, progress=SignalAt(call=call))
    last = load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")
    train(config, output=tmp_path / "cut", data=data, resume=last, progress=quiet())
    for name in ("best", "last"):
        assert_same_weights(tmp_path / f"whole/checkpoints/{name}.ckpt", tmp_path / f"cut/checkpoints/{name}.ckpt")


# ---------------------------------------------------------------------- one seed, one run


def test_a_whole_run_follows_from_its_seed(tmp_path: Path):  # defect 19
    data = pruning_data(14, 3)
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        train(pruning_config(SCHEDULED, seed=seed), output=tmp_path / name, data=data, progress=quiet())
    assert_same_weights(tmp_path / "one/checkpoints/last.ckpt", tmp_path / "same/checkpoints/last.ckpt")
    assert without_times(tmp_path / "one") == without_times(tmp_path / "same")
    assert without_times(tmp_path / "one") != without_times(tmp_path / "other")


def test_a_run_leaves_what_is_asked_for(tmp_path: Path):  # defect 14
    outcome = train(pruning_config(max_epochs=1), output=tmp_path / "run", data=pruning_data(8, 3), progress=quiet())
    assert outcome.best is not None
    for path in (outcome.best, outcome.last, tmp_path / "run/config.yaml", tmp_path / "run/metrics.csv"):
        assert path.is_file()


def test_weights_of_one_mode_are_refused_by_another(tmp_path: Path):
    from hitloom.errors import CheckpointError

    first = train(pruning_config(max_epochs=1), output=tmp_path / "a", data=pruning_data(8, 3), progress=quiet())
    config = pruning_config({"mode": "one_pass"}, max_epochs=1)
    with pytest.raises(CheckpointError, match="another architecture"):
        train(config, output=tmp_path / "b", data=pruning_data(8, 3), init=load_checkpoint(first.last))
