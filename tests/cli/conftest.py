"""A tiny system, a store of tiny events, and a way to run the command line within the test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hitloom.registry import SYSTEMS

TRAINING_TESTS = str(Path(__file__).resolve().parents[1] / "training")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _tiny_system():
    if TRAINING_TESTS not in sys.path:
        sys.path.insert(0, TRAINING_TESTS)
    SYSTEMS["tiny"] = "tiny_system:Tiny"
    yield
    SYSTEMS.pop("tiny", None)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run ``hitloom`` with these arguments; nothing of a slurm job around this test leaks in."""
    for name in ("SLURM_RESTART_COUNT", "SLURM_JOB_ID", "SLURM_NTASKS", "HITLOOM_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def run_cli(*arguments: object) -> Outcome:
        from hitloom.cli.main import run

        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run_cli


RECIPE = """
system: tiny
data: {split: [5, 2, 1]}
training: {max_epochs: 2, warmup_epochs: 0, lr: 1e-2, accelerator: cpu, num_threads: 1}
evaluation: {targets: {pt: [1.0, .inf]}}
"""


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``store``, ``recipe.yaml`` and the finished run ``run``."""
    if TRAINING_TESTS not in sys.path:
        sys.path.insert(0, TRAINING_TESTS)
    from tiny_system import tiny_event

    from hitloom.cli.main import run
    from hitloom.data.store import EventWriter

    folder = tmp_path_factory.mktemp("workshop")
    with EventWriter(folder / "store", provenance={"made": "by hand"}) as writer:
        for number in range(9):
            writer.write(tiny_event(number))
    (folder / "recipe.yaml").write_text(RECIPE)
    SYSTEMS["tiny"] = "tiny_system:Tiny"
    try:
        assert run(["train", str(folder / "recipe.yaml"), str(folder / "store"), "-o", str(folder / "run")]) == 0
    finally:
        SYSTEMS.pop("tiny", None)
    return folder
