"""A run that was stopped or killed and resumed has the weights of a run that never was, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from training_toy import assert_same_weights, quiet, tiny_config, tiny_data

from hitloom.errors import CheckpointError
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.history import read_history
from hitloom.training.progress import Progress
from hitloom.training.stop import StopRequested
from hitloom.training.train import train

HERE = Path(__file__).resolve().parent


class SignalAt(Progress):
    """Sends this process a signal at a given call of ``advance`` (training batches and validation events count)."""

    def __init__(self, *, call: int, signum: int = signal.SIGINT) -> None:
        super().__init__(num_epochs=3)
        self.call, self.signum, self.num_calls = call, signum, 0

    def advance(self, position: int | None = None) -> None:
        self.num_calls += 1
        if self.num_calls == self.call:
            os.kill(os.getpid(), self.signum)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hitloom.registry import SYSTEMS

    SYSTEMS["tiny"] = "tiny_system:Tiny"
    folder = tmp_path_factory.mktemp("whole")
    train(tiny_config(), output=folder, data=tiny_data(), progress=quiet())
    return folder


# 7 training batches and 2 validation events an epoch: within epochs, at their last batch, within validation
@pytest.mark.parametrize("call", [1, 7, 9, 12, 25])
def test_stopped_at_any_call_and_resumed_equals_never_stopped(uninterrupted: Path, tmp_path: Path, call: int):
    with pytest.raises(StopRequested) as stopped:
        train(tiny_config(), output=tmp_path, data=tiny_data(), progress=SignalAt(call=call))
    assert stopped.value.signum == signal.SIGINT
    checkpoint = load_checkpoint(tmp_path / "checkpoints/last.ckpt")
    train(tiny_config(), output=tmp_path, data=tiny_data(), resume=checkpoint, progress=quiet())
    assert_same_weights(uninterrupted / "checkpoints/last.ckpt", tmp_path / "checkpoints/last.ckpt")
    assert_same_weights(uninterrupted / "checkpoints/best.ckpt", tmp_path / "checkpoints/best.ckpt")
    for ours, theirs in zip(
        read_history(tmp_path / "metrics.csv"), read_history(uninterrupted / "metrics.csv"), strict=True
    ):
        assert {k: v for k, v in ours.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in theirs.items() if k != "seconds"}, rel=1e-6
        )


def test_optimiser_state_after_resume_is_that_of_the_whole_run(uninterrupted: Path, tmp_path: Path):
    with pytest.raises(StopRequested):
        train(tiny_config(), output=tmp_path, data=tiny_data(), progress=SignalAt(call=12))
    checkpoint = load_checkpoint(tmp_path / "checkpoints/last.ckpt")
    train(tiny_config(), output=tmp_path, data=tiny_data(), resume=checkpoint, progress=quiet())
    ours, theirs = (load_checkpoint(f / "checkpoints/last.ckpt").training for f in (tmp_path, uninterrupted))
    assert ours["step"] == theirs["step"] == 21
    for key, state in theirs["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(ours["optimizer"]["state"][key][name], value)


@pytest.mark.parametrize("options", [{"accumulate": 3}, {"gradient_clip": 0.05}, {"validate_every": 2}])
def test_options_of_the_loop_survive_a_stop(tmp_path: Path, options: dict[str, Any]):
    config = tiny_config(**options)
    train(config, output=tmp_path / "whole", data=tiny_data(), progress=quiet())
    with pytest.raises(StopRequested):
        train(config, output=tmp_path / "cut", data=tiny_data(), progress=SignalAt(call=11))
    checkpoint = load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")
    train(config, output=tmp_path / "cut", data=tiny_data(), resume=checkpoint, progress=quiet())
    assert_same_weights(tmp_path / "whole/checkpoints/last.ckpt", tmp_path / "cut/checkpoints/last.ckpt")


def test_another_number_of_batches_cannot_be_resumed_within_an_epoch(tmp_path: Path):
    with pytest.raises(StopRequested):
        train(tiny_config(), output=tmp_path, data=tiny_data(), progress=SignalAt(call=3))
    checkpoint = load_checkpoint(tmp_path / "checkpoints/last.ckpt")
    with pytest.raises(CheckpointError, match="within an epoch of 7 batches"):
        train(tiny_config(), output=tmp_path, data=tiny_data(num_train=9), resume=checkpoint, progress=quiet())


KILLED_RUN = """
import sys, warnings
sys.path.insert(0, {here!r})
warnings.simplefilter("ignore")
import hitloom.registry
hitloom.registry.SYSTEMS["tiny"] = "tiny_system:Tiny"
from training_toy import quiet, tiny_config, tiny_data
from hitloom.training.train import train
import time
class Slow(type(quiet())):
    def advance(self, position=None):
        print("step", flush=True)
        time.sleep(0.02)
train(tiny_config(), output={output!r}, data=tiny_data(), progress=Slow(num_epochs=3))
"""


def test_killed_by_signal_nine_and_resumed_equals_never_killed(uninterrupted: Path, tmp_path: Path):
    script = KILLED_RUN.format(here=str(HERE), output=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(12):  # twelfth call of advance: within the second epoch
        assert process.stdout.readline() == "step\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=300) == -signal.SIGKILL
    process.stdout.close()
    time.sleep(0.05)
    checkpoint = load_checkpoint(tmp_path / "checkpoints/last.ckpt")
    assert (checkpoint.training["epoch"], checkpoint.training["batch"]) == (1, 0)
    train(tiny_config(), output=tmp_path, data=tiny_data(), resume=checkpoint, progress=quiet())
    assert_same_weights(uninterrupted / "checkpoints/last.ckpt", tmp_path / "checkpoints/last.ckpt")


def test_saving_every_few_steps_leaves_a_checkpoint_within_the_epoch(uninterrupted: Path, tmp_path: Path):
    class Abort(SignalAt):
        def advance(self, position: int | None = None) -> None:
            self.num_calls += 1
            if self.num_calls == self.call:
                raise RuntimeError("power cut")

    config = tiny_config(save_every_steps=2)
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, output=tmp_path, data=tiny_data(), progress=Abort(call=6))
    checkpoint = load_checkpoint(tmp_path / "checkpoints/last.ckpt")
    assert (checkpoint.training["epoch"], checkpoint.training["batch"]) == (0, 4)
    train(config, output=tmp_path, data=tiny_data(), resume=checkpoint, progress=quiet())
    assert_same_weights(uninterrupted / "checkpoints/last.ckpt", tmp_path / "checkpoints/last.ckpt")
