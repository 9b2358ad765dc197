"""The demonstration of shower growing: which weights it takes, what it trains, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitloom.cli import demo_showers
from hitloom.cli.demo_common import Steps
from hitloom.cli.demo_showers import MODEL, NO_AUGMENTATION, PLAIN, PLAIN_RECIPE, RECIPE, TINY
from hitloom.training.run_config import load_recipe

OPTIONS = {"seed": 1, "sizes": TINY, "step": Steps(5, lambda text: None)}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch):
    """What would be trained and simulated."""
    found = {"trained": [], "simulated": []}

    def train(recipe, folder, store, num_train, sizes, *, fine_tune):
        found["trained"].append((recipe, num_train, sizes.num_val, sizes.overrides))
        return folder / "best.ckpt"

    def simulate(path, number, seed, *, root=None):
        found["simulated"].append((number, seed))
        return 3 * number

    monkeypatch.setattr(demo_showers, "train_one", train)
    monkeypatch.setattr(demo_showers, "_simulate", simulate)
    monkeypatch.setattr("hitloom.training.checkpoint.find_checkpoint", Path)
    return found


def test_the_recipe_is_trained_with_augmentation_and_allows_it_to_be_switched_off():
    assert load_recipe(RECIPE).model.augmentation.enabled
    assert not load_recipe(RECIPE, list(NO_AUGMENTATION)).model.augmentation.enabled


def test_what_is_there_and_no_demo_wrote_is_not_removed(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    outcome = cli("demo", "showers", "-o", tmp_path, "--tiny")
    assert outcome.code == 1 or outcome.code == 2
    assert "holds files that no demo wrote" in outcome.err
    assert (tmp_path / "notes.txt").exists()


@pytest.mark.parametrize("plain", [True, False])
def test_shipped_weights_are_taken_as_they_are(calls, tmp_path, monkeypatch, plain):
    shipped = [RECIPE, *([PLAIN_RECIPE] if plain else [])]
    monkeypatch.setattr("hitloom.training.checkpoint.shipped_weights", lambda: shipped)
    found = demo_showers._checkpoints(tmp_path, from_scratch=False, **OPTIONS)
    assert found == {MODEL: Path(RECIPE)} | ({PLAIN: Path(PLAIN_RECIPE)} if plain else {})
    assert calls == {"trained": [], "simulated": []}


def test_from_scratch_trains_with_and_without_augmentation_on_slices_of_their_own(calls, tmp_path, monkeypatch):
    monkeypatch.setattr("hitloom.training.checkpoint.shipped_weights", lambda: [RECIPE])
    found = demo_showers._checkpoints(tmp_path, from_scratch=True, **OPTIONS)
    assert list(found) == [MODEL, PLAIN]
    ((number, seed),) = calls["simulated"]
    assert number == TINY.scratch_train + TINY.num_val
    assert seed != 1
    (_, num_train, num_val, overrides), (_, _, _, without) = calls["trained"]
    assert (num_train, num_val) == (3 * TINY.scratch_train, 3 * TINY.num_val)
    assert set(without) - set(overrides) == set(NO_AUGMENTATION)
