"""The demonstration of pruning: what it refuses before it begins, and which weights it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitloom.cli import demo_pruning
from hitloom.cli.demo_common import Steps
from hitloom.cli.demo_pruning import MODES, RECIPES, TINY
from hitloom.training.run_config import load_recipe


def test_every_mode_has_a_recipe_of_its_own():
    assert {mode: load_recipe(recipe).model.mode for mode, recipe in RECIPES.items()} == {mode: mode for mode in MODES}


def test_an_unknown_mode_is_refused_before_anything_is_removed(cli, tmp_path):
    (tmp_path / "report.html").write_text("of an earlier demo")
    outcome = cli("demo", "pruning", "-o", tmp_path, "--mode", "multi_step")
    assert outcome.code == 2
    assert "unknown mode 'multi_step'. Did you mean 'multistep'" in outcome.err
    assert (tmp_path / "report.html").exists()


def test_weights_that_do_not_ship_are_trained_and_the_others_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained, simulated = [], []
    shipped = [recipe for mode, recipe in RECIPES.items() if mode != "tree"]
    monkeypatch.setattr("hitloom.training.checkpoint.shipped_weights", lambda: shipped)
    monkeypatch.setattr("hitloom.training.checkpoint.find_checkpoint", Path)
    monkeypatch.setattr(demo_pruning, "_simulate", lambda path, num, seed: simulated.append(seed) or 60)

    def train(recipe, folder, store, num_train, sizes, *, fine_tune):
        trained.append((recipe, num_train, sizes.num_val))
        return folder / "checkpoints/best.ckpt"

    monkeypatch.setattr(demo_pruning, "train_one", train)
    options = {"seed": 1, "sizes": TINY, "step": Steps(6, lambda text: None)}
    found = demo_pruning._checkpoints(tmp_path, from_scratch=False, **options)
    assert trained == [("pruning-small-tree", 50, 10)]
    assert found["tree"] == tmp_path / "tree/checkpoints/best.ckpt"
    assert {str(found[mode]) for mode in MODES if mode != "tree"} == set(shipped)
    assert 1 not in simulated  # events of the training are not those of the test
    trained.clear()
    demo_pruning._checkpoints(tmp_path, from_scratch=True, **options)
    assert [recipe for recipe, _, _ in trained] == list(RECIPES.values())
