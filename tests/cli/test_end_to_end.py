"""Train, stop, resume, infer, evaluate and display through the command line, on a tiny system."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hitloom.data.results import open_results
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.progress import Progress

TRAINING_TESTS = str(Path(__file__).resolve().parents[1] / "training")

# A run in a process of its own; an epoch is made slow so that a signal falls within the training.
CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
import hitloom.registry
hitloom.registry.SYSTEMS["tiny"] = "tiny_system:Tiny"
import tiny_system
forward = tiny_system.Tiny.forward
def slow(self, event):
    time.sleep(0.05)
    return forward(self, event)
tiny_system.Tiny.forward = slow
from hitloom.cli.main import main
main({arguments!r})
"""


def start(*arguments: object) -> subprocess.Popen[str]:
    script = CHILD.format(tests=TRAINING_TESTS, arguments=[str(argument) for argument in arguments])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def until_first_epoch(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            return
    raise AssertionError("the run ended before its first epoch")


def test_a_run_leaves_its_folder(workshop: Path):
    names = {str(path.relative_to(workshop / "run")) for path in (workshop / "run").rglob("*") if path.is_file()}
    assert names == {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}


def test_training_speaks_in_plain_lines_without_adverts(cli: Callable, workshop: Path, tmp_path: Path):
    answer = cli("train", workshop / "recipe.yaml", workshop / "store", "-o", tmp_path / "run")
    assert answer.code == 0
    lines = answer.err.splitlines()
    assert re.match(r"training tiny \(59 parameters\) on 5 events, validating on 2; cpu, 32-true", lines[0])
    assert [line.split(":")[0] for line in lines[1:]] == ["epoch 1/2", "epoch 2/2"]
    assert answer.out.startswith("best val_efficiency 1.0000: ")
    first, second = (load_checkpoint(f / "checkpoints/last.ckpt") for f in (tmp_path / "run", workshop / "run"))
    assert first.fingerprint == second.fingerprint


def test_ctrl_c_says_how_to_go_on_and_the_run_ends_as_if_never_stopped(cli: Callable, workshop: Path, tmp_path: Path):
    process = start("train", workshop / "recipe.yaml", workshop / "store", "-o", tmp_path / "run")
    until_first_epoch(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in err + out
    assert err.strip().endswith(f"continue with: hitloom train {tmp_path / 'run'} --resume")
    answer = cli("train", tmp_path / "run", "--resume")
    assert answer.code == 0
    assert "continuing from" in answer.err
    ours, theirs = (load_checkpoint(f / "run/checkpoints/last.ckpt") for f in (tmp_path, workshop))
    assert ours.fingerprint == theirs.fingerprint
    # a run that is complete has nothing to do
    assert cli("train", tmp_path / "run", "--resume").code == 0
    assert load_checkpoint(tmp_path / "run/checkpoints/last.ckpt").fingerprint == theirs.fingerprint


def test_the_warning_of_slurm_saves_and_requeues_and_the_job_resumes_by_itself(
    cli: Callable, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho $@ > {tmp_path}/asked\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    command = ["train", workshop / "recipe.yaml", workshop / "store", "-o", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "77")
        patch.setattr("hitloom.training.train.Progress", raise_at_step(7, signal.SIGUSR1))
        stopped = cli(*command)
    assert stopped.code == 128 + signal.SIGUSR1
    assert stopped.err.strip().endswith("state saved; slurm will run the job again")
    assert (tmp_path / "asked").read_text() == "requeue 77\n"
    assert load_checkpoint(tmp_path / "run/checkpoints/last.ckpt").training["step"] == 5  # within validation
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = cli(*command)  # slurm runs the very same command
    assert again.code == 0
    ours, theirs = (load_checkpoint(f / "run/checkpoints/last.ckpt") for f in (tmp_path, workshop))
    assert ours.fingerprint == theirs.fingerprint


def raise_at_step(number: int, signum: signal.Signals) -> type[Progress]:
    """Return a progress that sends this process a signal at its call of this number."""
    calls = iter(range(1, 10_000))

    class Signalling(Progress):
        def advance(self, position: int | None = None) -> None:
            if next(calls) == number:
                os.kill(os.getpid(), signum)

    return Signalling


def test_infer_writes_one_file_per_split_and_is_resumable(cli: Callable, workshop: Path, tmp_path: Path):
    """Defects 19 and 20: the split asked for is done, results know their checkpoint."""
    first = cli("infer", workshop / "run", workshop / "store", "-o", tmp_path / "r", "--split", "val")
    assert first.code == 0
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["results-val.parquet"]
    stored = open_results(tmp_path / "r", "val")
    assert len(stored) == 2
    assert stored.meta["checkpoint_fingerprint"] == load_checkpoint(workshop / "run/checkpoints/best.ckpt").fingerprint
    stamp = (tmp_path / "r/results-val.parquet").stat().st_mtime_ns
    second = cli("infer", workshop / "run", workshop / "store", "-o", tmp_path / "r")
    assert "results-val.parquet: 0 events (2 were there already)" in second.out
    assert "results-train.parquet: 5 events" in second.out
    assert "1 events belong to no split of the training: skipped" in second.out
    assert (tmp_path / "r/results-val.parquet").stat().st_mtime_ns == stamp
    assert [len(open_results(tmp_path / "r", name)) for name in ("train", "val", "test")] == [5, 2, 1]


def test_results_of_another_checkpoint_are_refused_or_redone(cli: Callable, workshop: Path, tmp_path: Path):
    """Defect 19."""
    arguments = ["infer", workshop / "run", workshop / "store", "-o", tmp_path / "r", "-s", "val"]
    assert cli(*arguments).code == 0
    other = cli(*arguments, "--set", "model.num_pairs=3")
    assert other.code == 2
    assert "holds results with checkpoint_fingerprint" in other.err
    redone = cli(*arguments, "--set", "model.num_pairs=3", "--redo")
    assert "results-val.parquet: 2 events" in redone.out


def test_points_that_hard_cuts_remove_are_in_the_result(cli: Callable, workshop: Path, tmp_path: Path):
    answer = cli(
        "infer", workshop / "run", workshop / "store", "-o", tmp_path / "r", "-s", "test",
        "--set", "data.hard_cuts={object_pt: [1.2, .inf]}",
    )  # fmt: skip
    assert "truth-selected input" in answer.out
    (result,) = open_results(tmp_path / "r", "test")
    assert result.in_input is not None
    # tracks of pt 0.5, 1, 1.5, 2, 2.5, 3 with 5 points each and 3 points of noise: four tracks are kept
    assert (int(result.in_input.sum()), result.labels.shape[0]) == (20, 33)
    assert torch.equal(result.labels >= 0, result.in_input)
    assert {"network", "grouping", "cuts", "total"} <= result.timing.keys()


def test_an_interrupted_inference_goes_on(
    cli: Callable, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    command = ["infer", workshop / "run", workshop / "store", "-o", tmp_path / "r", "-s", "train"]

    def stop_at_second(self: object, name: str, done: int, total: int | None = None) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("hitloom.cli.counter.Counter.__call__", stop_at_second)
        stopped = cli(*command)
    assert stopped.code == 130
    assert stopped.err == "stopped; the same command goes on from here\n"
    assert not (tmp_path / "r/results-train.parquet").exists()
    answer = cli(*command)
    assert "results-train.parquet: 3 events (2 were there already)" in answer.out
    assert len(open_results(tmp_path / "r", "train")) == 5


def test_evaluation_and_display_follow(cli: Callable, workshop: Path, tmp_path: Path):
    assert cli("infer", workshop / "run", workshop / "store", "-o", tmp_path / "r").code == 0
    answer = cli("eval", tmp_path / "r", "--no-scan", "--set", "num_resamples=10", "--set", "display=false")
    assert answer.code == 0, answer.err
    assert "efficiency.double_majority" in answer.out
    report = Path(re.search(r"report: (.*)", answer.out)[1])  # type: ignore[index]
    assert report.is_file()
    assert (report.parent / "metrics.json").is_file()
    drawn = cli("display", tmp_path / "r", "-o", tmp_path / "event.html")
    assert drawn.code == 0, drawn.err
    assert (tmp_path / "event.html").stat().st_size > 10_000


def test_an_exported_checkpoint_of_weights_serves_infer_and_init_but_not_resume(
    cli: Callable, workshop: Path, tmp_path: Path
):
    from hitloom.training.checkpoint import export_weights

    export_weights(load_checkpoint(workshop / "run/checkpoints/best.ckpt"), tmp_path / "w.safetensors")
    assert cli("infer", tmp_path / "w.safetensors", workshop / "store", "-o", tmp_path / "r").code == 0
    base = ["train", workshop / "recipe.yaml", workshop / "store", "-o", tmp_path / "new"]
    refused = cli(*base, "-c", tmp_path / "w.safetensors")
    assert refused.code == 2
    assert "holds weights only and cannot be resumed; mend: --init-from" in refused.err
    assert cli(*base, "--init-from", tmp_path / "w.safetensors").code == 0
