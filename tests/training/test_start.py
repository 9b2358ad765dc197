"""Which settings come from the checkpoint and which from the recipe, and what a start refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_toy import quiet, tiny_config, tiny_data

from hitloom.errors import CheckpointError, ConfigError
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.history import read_history
from hitloom.training.start import plan_start
from hitloom.training.train import train

RECIPE = """
system: tiny
model: {width: 5}
data: {store: elsewhere, batch_size: 2}
training: {max_epochs: 6, lr: 0.5, accelerator: cpu, num_threads: 1, warmup_epochs: 0}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hitloom.registry import SYSTEMS

    SYSTEMS["tiny"] = "tiny_system:Tiny"
    folder = tmp_path_factory.mktemp("run")
    train(tiny_config(max_epochs=2), output=folder, data=tiny_data(3, 1), progress=quiet(2))
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "other.yaml"
    path.write_text(RECIPE)
    return path


def test_model_data_and_optimiser_come_from_the_checkpoint_trainer_settings_from_the_recipe(
    run: Path, recipe: Path, tmp_path: Path
):
    start = plan_start(recipe, output=tmp_path / "new", checkpoint=run / "checkpoints/last.ckpt")
    assert (start.config.model.width, start.config.training.lr, start.config.data.batch_size) == (8, 1e-2, 1)
    assert (start.config.training.max_epochs, start.config.data.store) == (6, "elsewhere")
    assert start.resume is not None
    assert start.init is None


def test_an_override_of_what_the_checkpoint_fixes_is_refused(run: Path, recipe: Path, tmp_path: Path):
    arguments = {"output": tmp_path / "new", "checkpoint": run}
    with pytest.raises(ConfigError, match=r"'training\.lr' is fixed by the checkpoint .* \(0\.01\)"):
        plan_start(recipe, overrides=["training.lr=0.1"], **arguments)
    assert plan_start(recipe, overrides=["training.max_epochs=9"], **arguments).config.training.max_epochs == 9
    assert plan_start(recipe, overrides=["training.lr=0.01"], **arguments).config.training.lr == 0.01


def test_a_continued_run_counts_on_in_a_new_folder(run: Path, tmp_path: Path):
    start = plan_start(
        run, output=tmp_path / "on", overrides=["training.max_epochs=3"], checkpoint=run / "checkpoints/last.ckpt"
    )
    outcome = train(start.config, output=start.folder, data=tiny_data(3, 1), resume=start.resume, progress=quiet())
    assert [row["epoch"] for row in read_history(start.folder / "metrics.csv")] == [2]
    assert outcome.last is not None
    assert load_checkpoint(outcome.last).training["step"] == 9


def test_weights_only_start_has_a_fresh_optimiser_and_epoch_count(run: Path, recipe: Path, tmp_path: Path):
    start = plan_start(
        recipe,
        output=tmp_path / "new",
        overrides=["training.max_epochs=0"],
        checkpoint=run,
        load_only_model_parameters=True,
    )
    assert start.resume is None
    assert start.init is not None
    assert start.config.model.width == 8
    outcome = train(start.config, output=start.folder, data=tiny_data(3, 1), init=start.init, progress=quiet())
    assert outcome.last is None  # no epoch was asked for
    start = plan_start(
        run,
        output=tmp_path / "one",
        overrides=["training.max_epochs=1"],
        checkpoint=run,
        load_only_model_parameters=True,
    )
    train(start.config, output=start.folder, data=tiny_data(3, 1), init=start.init, progress=quiet())
    assert load_checkpoint(start.folder / "checkpoints/last.ckpt").training["step"] == 3


def test_init_from_keeps_the_recipe_and_takes_the_weights(run: Path, recipe: Path, tmp_path: Path):
    start = plan_start(recipe, output=tmp_path / "a", overrides=["model.width=8"], init_from=run)
    assert start.config.training.lr == 0.5
    seen = {}

    class First(type(quiet())):  # type: ignore[misc]
        def begin_epoch(self, epoch: int, num_batches: int) -> None:
            seen["epoch"] = epoch

    train(start.config, output=start.folder, data=tiny_data(3, 1), init=start.init, progress=First(num_epochs=6))
    assert start.init is not None
    assert not torch.equal(
        load_checkpoint(start.folder / "checkpoints/last.ckpt").weights["net.0.weight"],
        start.init.weights["net.0.weight"],
    )
    with pytest.raises(CheckpointError, match="another architecture"):
        wrong = plan_start(recipe, output=tmp_path / "b", init_from=run)
        train(wrong.config, output=wrong.folder, data=tiny_data(3, 1), init=wrong.init, progress=quiet())
    assert not (tmp_path / "b").exists()


def test_resume_takes_the_last_state_or_starts_where_there_is_none(run: Path, tmp_path: Path):
    assert plan_start(run, resume=True).resume.path == run / "checkpoints/last.ckpt"  # type: ignore[union-attr]
    assert plan_start(run, output=tmp_path / "fresh", resume=True).resume is None


def test_a_requeued_slurm_job_resumes_by_itself(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert plan_start(run).resume is not None


def test_the_newest_checkpoint_of_a_tree_overrides_the_named_one(run: Path, recipe: Path, tmp_path: Path):
    start = plan_start(
        recipe, output=tmp_path / "x", checkpoint=run / "checkpoints/best.ckpt", checkpoint_resume_dir=run.parent
    )
    assert start.resume is not None
    assert start.resume.path.name == "last.ckpt"


def test_what_a_start_refuses(run: Path, recipe: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="holds a run already; mend: --resume"):
        plan_start(run)
    with pytest.raises(ConfigError, match="--load-only-model-parameters needs a checkpoint"):
        plan_start(recipe, output=tmp_path / "x", load_only_model_parameters=True)
    with pytest.raises(ConfigError, match="--init-from starts a new run"):
        plan_start(recipe, output=tmp_path / "x", init_from=run, checkpoint=run)
    with pytest.raises(CheckpointError, match="no such folder"):
        plan_start(recipe, output=tmp_path / "x", checkpoint_resume_dir=tmp_path / "none")
    with pytest.raises(CheckpointError, match="checkpoint of system 'tiny', but .* trains 'eggnet'"):
        plan_start("eggnet-small", output=tmp_path / "x", checkpoint=run)
