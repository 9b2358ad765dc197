"""Events of a run: splits, hard cuts and wedges, from a store."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_system import tiny_event
from training_toy import quiet, tiny_config

from hitloom.data.store import EventWriter
from hitloom.errors import ConfigError, DataError
from hitloom.training.batches import EpochLoader
from hitloom.training.run_config import DataSection
from hitloom.training.run_data import open_data
from hitloom.training.train import train

NUM_EVENTS = 12


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    with EventWriter(path, provenance={}) as writer:
        for number in range(NUM_EVENTS):
            writer.write(tiny_event(number))
    return path


def section(store: Path, **values: Any) -> DataSection:
    return DataSection(store=str(store), **values)


def ids(events: Any) -> set[int]:
    return {int(event.event_id) for event in events}


def test_splits_by_counts_are_exact_disjoint_and_move_with_the_seed(store: Path):
    data = open_data(section(store, split=[6, 3, 2]))
    assert (len(data.train), len(data.val)) == (6, 3)
    assert not ids(data.train) & ids(data.val)
    other = open_data(section(store, split=[6, 3, 2], split_seed=1))
    assert ids(other.train) != ids(data.train)
    assert data.fingerprint == other.fingerprint != ""


def test_splits_by_fractions_and_as_recorded(store: Path):
    data = open_data(section(store, split=[0.5, 0.5, 0.0]))
    assert len(data.train) + len(data.val) == NUM_EVENTS
    assert len(open_data(section(store)).train) > 0


def test_fewer_events_than_asked_are_divided_in_proportion_and_said(store: Path, caplog: pytest.LogCaptureFixture):
    logging.getLogger("hitloom").propagate = True
    data = open_data(section(store, split=[200, 40, 0]))
    assert (len(data.train), len(data.val)) == (10, 2)
    assert "240" in caplog.text or "[200" in caplog.text


def test_hard_cuts_hold_in_training_and_validation(store: Path):
    data = open_data(section(store, split=[6, 3, 2], hard_cuts={"object_pt": [1.2, float("inf")]}))
    for event in [*data.train, *data.val]:
        assert event.num_points == 20  # four of six particles, no noise
        assert bool((event.object_index >= 0).all())
        assert event.truth_edge_index.shape == (2, 16)


def test_wedges_are_random_in_training_and_fixed_in_validation(store: Path):
    wedge = {"fraction": 0.4, "min_points": 5, "max_points": 20}
    data = open_data(section(store, split=[6, 3, 2], phi_wedge=wedge))
    loader = EpochLoader(data.train, batch_size=1, shuffle=False, seed=1, num_workers=0, transforms=data.transforms)
    sizes = []
    for epoch in (0, 1, 0):
        loader.set_epoch(epoch)
        sizes.append([event.num_points for event in loader])
        assert all(5 <= size <= 20 for size in sizes[-1])
    assert sizes[0] == sizes[2] != sizes[1]
    assert all(torch.equal(data.val[i].pos, data.val[i].pos) for i in range(3))
    assert all(event.num_points <= 20 for event in data.val)


def test_an_event_without_a_wedge_is_replaced_by_the_next_or_refused(store: Path):
    impossible = {"min_points": 500, "max_tries": 1}
    for on_failure, match in (("error", "no phi wedge"), ("skip", "no training event is left")):
        data = open_data(section(store, split=[6, 3, 2], phi_wedge=impossible | {"on_failure": on_failure}))
        loader = EpochLoader(data.train, batch_size=1, shuffle=False, seed=1, num_workers=0, transforms=data.transforms)
        with pytest.raises(DataError, match=match):
            list(loader)


def test_a_store_must_be_named():
    with pytest.raises(ConfigError, match=r"data\.store: no event store is named"):
        open_data(DataSection())


def test_wrong_cuts_and_targets_are_found_with_the_configuration():
    with pytest.raises(ValueError, match="unknown operator 'iss'"):
        DataSection(hard_cuts={"layer": ["iss", 3]})
    from hitloom.training.run_config import EvaluationSection

    assert EvaluationSection(targets={"hit_particle_nhits": [3, 9], "object_pt": [1, 2]}).targets.keys() == {
        "num_points",
        "pt",
    }
    for targets, text in (({"ptt": [1, 2]}, "Did you mean 'pt'"), ({"pt": [2, 1]}, "low <= high")):
        with pytest.raises(ValueError, match=text):
            EvaluationSection(targets=targets)


def assert_settings_and_best_are_logged(folder: Path, *, best: float | None) -> None:
    """The hyper-parameters page of tensorboard shows every setting beside the best monitored value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(folder))
    events.Reload()
    assert events.Scalars("hp_metric")[-1].value == pytest.approx(best)
    assert len(events.Scalars("val_loss")) == 2
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["training.lr"].number_value == 1e-2
    assert settings["system"].string_value == "tiny"
    assert settings["model.width"].number_value == 8
    assert settings["training.gradient_clip"].string_value == "None"


def test_extra_loggers_write_into_the_run_folder_or_name_their_package(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("tensorboard")
    config = tiny_config(max_epochs=2, log=["tensorboard"])
    data = open_data(section(store, split=[2, 1, 0]))
    outcome = train(config, output=tmp_path / "run", data=data, progress=quiet())
    assert_settings_and_best_are_logged(tmp_path / "run/tensorboard", best=outcome.best_value)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    from hitloom.errors import MissingDependencyError

    with pytest.raises(MissingDependencyError, match=r"pip install 'hitloom\[log\]'"):
        train(tiny_config(log=["wandb"]), output=tmp_path / "other", data=data, progress=quiet())
    assert not (tmp_path / "other").exists()
