"""Two processes train one run: same weights in both, one writes and speaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_toy import tiny_config, tiny_data

from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.history import read_history
from hitloom.training.train import train

HERE = str(Path(__file__).resolve().parent)

SCRIPT = """
import logging, os, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {here!r})
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
import hitloom.registry
hitloom.registry.SYSTEMS["tiny"] = "tiny_system:Tiny"
from training_toy import tiny_config, tiny_data
from hitloom.training.train import train
if __name__ == "__main__":
    config = tiny_config(max_epochs=2, devices=2, strategy="ddp")
    outcome = train(config, output={output!r}, data=tiny_data(5, 3))
    os.write(1, f"rank {{outcome.rank}}\\n".encode())
"""


@pytest.mark.slow
def test_two_processes_share_the_events(tmp_path: Path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(here=HERE, output=str(tmp_path / "run")))
    answer = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert answer.stdout.count("training tiny") == 1
    assert "rank 0" in answer.stdout
    assert "rank 1" in answer.stdout
    state = load_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    assert (state.training["world_size"], state.training["num_batches"], state.training["step"]) == (2, 3, 6)
    rows = read_history(tmp_path / "run/metrics.csv")
    # rates are counts over all validation events, whichever process had them
    train(tiny_config(max_epochs=1), output=tmp_path / "one", data=tiny_data(5, 3))
    (alone,) = read_history(tmp_path / "one/metrics.csv")
    for name in ("val_efficiency", "val_fake_per_matched_particle", "val_duplicate_per_particle"):
        assert rows[0][name] == alone[name]
