"""A sweep trains every combination once, goes on where it stopped, and leaves one table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from tiny_system import tiny_event

from hitloom.data.store import EventWriter
from hitloom.errors import ConfigError
from hitloom.training import sweep as module
from hitloom.training.history import read_history
from hitloom.training.run_config import load_recipe, recipe_names
from hitloom.training.sweep import combinations, grid_of_recipe, parse_grid, sweep
from hitloom.training.sweep_table import markdown_lines
from hitloom.training.train import train
from hitloom.training.validation import rates_of, validate

RECIPE = """
system: tiny
data: {split: [5, 2, 3]}
training: {max_epochs: 1, warmup_epochs: 0, lr: 1e-2, accelerator: cpu, num_threads: 1, seed: 7}
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "tiny.yaml").write_text(RECIPE)
    with EventWriter(folder / "store", provenance={}) as writer:
        for number in range(10):
            writer.write(tiny_event(number))
    return folder


def run(workshop: Path, output: Path, grid: list[str], **options: Any) -> list[dict[str, Any]]:
    return sweep(workshop / "tiny.yaml", grid=parse_grid(grid), output=output, store=workshop / "store", **options)


def test_every_combination_is_one_run_in_an_order_of_its_own():
    runs = combinations(parse_grid(["model.gate=gru,lstm", "model.memory=none, gru", "data.split=[1, 2, 3]"]))
    assert [one.name for one in runs] == [
        f"gate={gate}_memory={memory}_split=1-2-3" for gate in ("gru", "lstm") for memory in ("none", "gru")
    ]
    assert runs[0].settings == {"model.gate": "gru", "model.memory": "none", "data.split": [1, 2, 3]}
    assert len(combinations(parse_grid(["a.x=1,1,2"]))) == 2
    assert combinations(parse_grid(["a.x=1", "b.x=2"]))[0].name == "a.x=1_b.x=2"


@pytest.mark.parametrize("grid", [["model.gate"], ["=3"], ["a="], ["a=1", "a=2"]])
def test_a_grid_that_says_nothing_is_refused(grid: list[str]):
    with pytest.raises(ConfigError, match="--grid"):
        parse_grid(grid)


def test_the_table_holds_settings_size_and_quality_of_every_run(workshop: Path, tmp_path: Path):
    rows = run(workshop, tmp_path, ["model.width=4,8", "training.lr=1e-2,1e-3"])
    assert [(row["model.width"], row["training.lr"]) for row in rows] == [(4, 1e-2), (4, 1e-3), (8, 1e-2), (8, 1e-3)]
    assert [row["num_parameters"] for row in rows] == [31, 31, 59, 59]
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["seed"] for row in rows} == {7}
    history = read_history(tmp_path / "width=8_lr=0.001" / "metrics.csv")
    assert rows[3]["best val_efficiency"] == pytest.approx(history[0]["val_efficiency"])
    with (tmp_path / "sweep.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["test_loss"]) for row in table] == pytest.approx([row["test_loss"] for row in rows])
    lines = (tmp_path / "sweep.md").read_text().splitlines()
    assert lines == markdown_lines(rows)
    assert len({len(line) for line in lines}) == 1


def test_a_run_of_a_sweep_is_the_run_that_train_makes(workshop: Path, tmp_path: Path):
    from hitloom.training.checkpoint import load_checkpoint
    from hitloom.training.run_data import StoredEvents, open_data, split_rows

    (row,) = run(workshop, tmp_path / "sweep", ["model.width=4"])
    config = load_recipe(workshop / "tiny.yaml", ["model.width=4", f"data.store={workshop / 'store'}"])
    data = open_data(config.data)
    outcome = train(config, output=tmp_path / "alone", data=data)
    assert row["best val_efficiency"] == outcome.best_value
    store = data.train.store
    test = StoredEvents(store, split_rows(store, config.data, "test"), hard_cuts={})
    assert len(test) == 3
    system = load_checkpoint(outcome.best).build_system()
    rates = rates_of(system, validate(system, enumerate(test), device="cpu", seed=7, targets={}))
    assert row["test_loss"] == pytest.approx(rates["val_loss"])
    assert row["test_efficiency"] == pytest.approx(rates["val_efficiency"])


def test_a_run_that_fails_is_in_the_table_and_the_others_go_on(workshop: Path, tmp_path: Path):
    rows = run(workshop, tmp_path, ["model.width=-3,4", "data.split=[5, 2, 3],[0, 5, 0]"])
    assert [row["status"] for row in rows] == ["failed", "failed", "ok", "failed"]
    assert "no training event" in rows[3]["error"]
    assert "\n" not in rows[0]["error"]
    again = run(workshop, tmp_path, ["model.width=-3,4", "data.split=[5, 2, 3],[0, 5, 0]"])
    assert [row["status"] for row in again] == [row["status"] for row in rows]


def test_a_stopped_sweep_goes_on_and_finished_runs_are_kept(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    grid, trained = ["model.width=4,6,8"], []

    def counted(config: Any, **options: Any) -> Any:
        trained.append(config.model.width)
        if trained == [4, 6]:
            raise KeyboardInterrupt
        return train(config, **options)

    monkeypatch.setattr(module, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        run(workshop, tmp_path, grid)
    rows = run(workshop, tmp_path, grid)
    assert trained == [4, 6, 6, 8]
    assert [row["model.width"] for row in rows] == [4, 6, 8]
    assert run(workshop, tmp_path, grid) == rows
    assert trained == [4, 6, 6, 8]
    run(workshop, tmp_path, grid, overrides=["training.max_epochs=2"])  # another configuration: trained on
    assert trained == [4, 6, 6, 8, 4, 6, 8]
    assert len(read_history(tmp_path / "width=4" / "metrics.csv")) == 2


def test_mistakes_in_every_run_stop_the_sweep_at_once(workshop: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"unknown key 'model\.widht'.*Did you mean 'width'"):
        run(workshop, tmp_path / "out", ["model.widht=4,8"])
    with pytest.raises(ConfigError, match="on one device"):
        run(workshop, tmp_path / "out", ["model.width=4"], overrides=["training.devices=2"])
    assert not (tmp_path / "out").exists()


def test_the_grid_of_pruning_ships_and_every_combination_is_valid():
    grid = grid_of_recipe("pruning")
    assert list(grid) == ["model.gate", "model.memory", "model.mode"]
    assert grid == grid_of_recipe("pruning-small-multistep")
    runs = combinations(grid)
    assert len(runs) == 12
    models = [load_recipe("pruning", one.overrides).model for one in runs]
    assert {(model.gate, model.memory, model.mode) for model in models} == {
        (gate, memory, mode)
        for gate in ("gru", "lstm")
        for memory in ("none", "gru", "lstm")
        for mode in ("multistep", "autoregressive")
    }
    assert "eggnet-small" in recipe_names()
    with pytest.raises(ConfigError, match="no grid ships for recipe 'eggnet-small'"):
        grid_of_recipe("eggnet-small")


def test_a_missing_store_is_said_once_for_each_run(workshop: Path, tmp_path: Path):
    grid = parse_grid(["model.width=4"])
    (row,) = sweep(workshop / "tiny.yaml", grid=grid, output=tmp_path, store=tmp_path / "nothing")
    assert row["status"] == "failed"
    assert "no such event store" in row["error"]
