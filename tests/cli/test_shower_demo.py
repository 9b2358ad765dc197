"""The demonstration of shower growing: which weights it takes, what it trains, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitloom.cli import demo_showers
from hitloom.cli.demo_common import Steps
from hitloom.cli.demo_showers import MODEL, RECIPES, TINY
from hitloom.training.run_config import load_recipe

OPTIONS = {"seed": 1, "sizes": TINY, "step": Steps(5, lambda text: None)}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch):
    """What would be trained and simulated."""
    found = {"trained": [], "simulated": []}

    def train(recipe, folder, store, num_train, sizes, *, fine_tune):
        found["trained"].append((recipe, num_train, sizes.num_val))
        return folder / "best.ckpt"

    def simulate(path, number, seed, *, root=None):
        found["simulated"].append((number, seed))
        return 3 * number

    monkeypatch.setattr(demo_showers, "train_one", train)
    monkeypatch.setattr(demo_showers, "_simulate", simulate)
    monkeypatch.setattr("hitloom.training.checkpoint.find_checkpoint", Path)
    return found


def test_one_recipe_has_augmentation_and_iterates_the_other_has_neither():
    models = {name: load_recipe(recipe).model for name, recipe in RECIPES.items()}
    assert {name: model.augmentation.enabled for name, model in models.items()} == {
        MODEL: True, "without_augmentation": False
    }  # fmt: skip
    assert {name: model.grouping.mode for name, model in models.items()} == {
        MODEL: "iterated", "without_augmentation": "accessory"
    }  # fmt: skip
    for recipe in RECIPES.values():
        assert load_recipe(recipe, list(TINY.overrides)).model.encoder.hidden == 8


def test_what_is_there_and_no_demo_wrote_is_not_removed(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    outcome = cli("demo", "showers", "-o", tmp_path, "--tiny")
    assert outcome.code == 2
    assert "holds files that no demo wrote" in outcome.err
    assert (tmp_path / "notes.txt").exists()


@pytest.mark.parametrize("names", [[MODEL], list(RECIPES)])
def test_shipped_weights_are_taken_as_they_are(calls, tmp_path, monkeypatch, names):
    monkeypatch.setattr("hitloom.training.checkpoint.shipped_weights", lambda: [RECIPES[name] for name in names])
    found = demo_showers._checkpoints(tmp_path, from_scratch=False, **OPTIONS)
    assert found == {name: Path(RECIPES[name]) for name in names}
    assert calls == {"trained": [], "simulated": []}


def test_from_scratch_trains_with_and_without_augmentation_on_slices_of_their_own(calls, tmp_path, monkeypatch):
    monkeypatch.setattr("hitloom.training.checkpoint.shipped_weights", lambda: list(RECIPES.values()))
    found = demo_showers._checkpoints(tmp_path, from_scratch=True, **OPTIONS)
    assert list(found) == list(RECIPES)
    ((number, seed),) = calls["simulated"]
    assert number == TINY.scratch_train + TINY.num_val
    assert seed != 1
    numbers = (3 * TINY.scratch_train, 3 * TINY.num_val)
    assert calls["trained"] == [(recipe, *numbers) for recipe in RECIPES.values()]
