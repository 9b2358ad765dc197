"""A chain trained stage by stage: order, caching, resume, one division of events, provenance."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from training_toy import assert_same_weights

from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import CheckpointError, ConfigError, DataError
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.progress import Progress
from hitloom.training.reconstruct import Reconstructor
from hitloom.training.run_config import RunConfig, build_run_config
from hitloom.training.stage_events import apply_stage
from hitloom.training.stage_folder import read_state
from hitloom.training.stage_quality import stage_quality
from hitloom.training.stages import StagedRun, train_stages
from tracker_toy import TINY, tracker_event

NUM_EVENTS = 8


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stages") / "events"
    with EventWriter(path, provenance={"made": "toy"}) as writer:
        for number in range(NUM_EVENTS):
            writer.write(tracker_event(48, 1000 * number))
    return path


def config(store: Path, **model: Any) -> RunConfig:
    parts = {name: dict(values) for name, values in TINY["exatrkx"].items()}
    parts["embedding"]["graph"] = {"radius": 0.5, "target_efficiency": 0.95, "max_radius": 2.0}
    parts["filter"]["target_efficiency"] = 0.99
    for key, value in model.items():
        parts[key] = parts[key] | value
    return build_run_config(
        {
            "system": "exatrkx",
            "model": parts,
            "data": {"store": str(store), "split": [5, 2, 1]},
            "training": {"max_epochs": 2, "lr": 1e-3, "warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"},
            "stages": {
                "embedding": {"monitor": "val_edge_f1"},
                "filter": {"monitor": "val_purity_at_99"},
                "gnn": {"monitor": "val_edge_efficiency"},
            },
        }
    )


@pytest.fixture(scope="module")
def trained(store: Path, tmp_path_factory: pytest.TempPathFactory) -> StagedRun:
    """A chain with every stage trained."""
    run = StagedRun(config=config(store), folder=tmp_path_factory.mktemp("run"))
    assert train_stages(run.config, output=run.folder) == run.folder / "checkpoints" / "best.ckpt"
    return run


def test_the_chain_equals_its_stages_one_after_another(trained: StagedRun, store: Path):
    reconstruct = Reconstructor(trained.folder)
    made = {name: EventStore(trained.folder / name / "events") for name in ("embedding", "filter")}
    assert [int(i) for i in made["filter"].event_ids] == [int(i) for i in made["embedding"].event_ids]
    for number, after_filter in enumerate(made["filter"]):
        after_graph = made["embedding"][number]
        event = next(e for e in EventStore(store) if e.event_id == after_filter.event_id)
        graphs = {graph.name: graph.edge_index for graph in reconstruct.graphs(event)}
        assert torch.equal(graphs["graph"], after_graph.edge_index)
        assert torch.equal(graphs["filter"], after_filter.edge_index)
        result = reconstruct(event)
        assert torch.equal(result.edge_index, after_filter.edge_index)
        assert bool((after_filter.edge_score > 0).all())
        assert bool((after_filter.edge_score <= 1).all())


def test_settings_chosen_on_validation_events_are_in_the_chain(trained: StagedRun):
    model = load_checkpoint(trained.folder / "checkpoints" / "best.ckpt").config.model
    state = read_state(trained.folder / "embedding")
    assert state is not None
    assert model.embedding.graph.radius == state.chosen["graph"]["radius"] != 0.5
    assert model.embedding.graph.target_efficiency == 0.95


def test_one_division_of_events_serves_every_stage(trained: StagedRun, store: Path):
    ids = trained.split_ids()
    assert {name: len(ids[name]) for name in ids} == {"train": 5, "val": 2}
    for name in ("embedding", "filter"):
        made = EventStore(trained.folder / name / "events")
        for split, wanted in ids.items():
            assert sorted(int(made.event_ids[row]) for row in made.indices(split)) == sorted(wanted)
        assert made.indices("test") == []


def test_the_events_carry_the_settings_of_every_stage_behind_them(trained: StagedRun):
    provenance = EventStore(trained.folder / "filter" / "events").provenance
    assert provenance["made"] == "toy"
    assert [record["stage"] for record in provenance["stages"]] == ["embedding", "filter"]
    assert provenance["stages"][0]["settings"]["margin"] == 0.3
    assert provenance["split"]["digest"]
    header = load_checkpoint(trained.folder / "checkpoints" / "best.ckpt").header
    assert [record["stage"] for record in header["stages"]] == ["embedding", "filter", "gnn"]


def test_finished_stages_and_their_events_are_kept(trained: StagedRun, caplog: pytest.LogCaptureFixture):
    before = {path: path.stat().st_mtime_ns for path in trained.folder.rglob("*.parquet")}
    with caplog.at_level(logging.INFO, "hitloom"):
        train_stages(trained.config, output=trained.folder, resume=True)
        apply_stage(trained, "filter")
    assert [line for line in caplog.messages if "trained already, kept" in line] == [
        f"stage {name}: trained already, kept" for name in ("embedding", "filter", "gnn")
    ]
    assert {path: path.stat().st_mtime_ns for path in trained.folder.rglob("*.parquet")} == before


class Killed(Exception):
    pass


class KillsAfter(Progress):
    """Raises at the end of the given epoch, when everything of it is on disk."""

    def __init__(self, epoch: int) -> None:
        super().__init__(num_epochs=2)
        self.left = epoch

    def end_epoch(self, row: Any, monitor: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def test_what_is_a_negative_is_said_for_every_stage(store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Defect 11 of the reference: a choice, so it is named and printed."""
    with caplog.at_level(logging.INFO, "hitloom"):
        train_stages(config(store), output=tmp_path)
    for name, choice in (("embedding", "negative"), ("filter", "negative"), ("gnn", "positive")):
        assert f"stage {name}: training; pairs of one particle that are not consecutive: {choice}" in caplog.messages


def test_a_killed_stage_goes_on_to_the_same_weights(trained: StagedRun, store: Path, tmp_path: Path):
    with pytest.raises(Killed):
        train_stages(trained.config, output=tmp_path, progress=KillsAfter(3))
    assert read_state(tmp_path / "embedding") is not None
    assert read_state(tmp_path / "filter") is None
    with pytest.raises(ConfigError, match="--resume"):
        train_stages(trained.config, output=tmp_path)
    train_stages(trained.config, output=tmp_path, resume=True)
    for name in ("embedding", "filter", "gnn"):
        assert_same_weights(tmp_path / name / "checkpoints/last.ckpt", trained.folder / name / "checkpoints/last.ckpt")


def test_one_stage_alone_needs_those_before_it(trained: StagedRun, store: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="stage 'embedding' is not trained yet; mend: .*--stage embedding"):
        train_stages(trained.config, output=tmp_path, stage="filter")
    assert train_stages(trained.config, output=tmp_path, stage="embedding") is None
    assert not (tmp_path / "embedding" / "events").exists()  # training does not apply
    assert train_stages(trained.config, output=tmp_path, stage="filter") is None
    assert not (tmp_path / "gnn").exists()


def test_another_setting_makes_a_stage_and_all_after_it_stale(trained: StagedRun, store: Path, tmp_path: Path):
    train_stages(trained.config, output=tmp_path, stage="embedding")
    train_stages(trained.config, output=tmp_path, stage="filter")
    other = config(store, embedding={"margin": 0.4})
    with pytest.raises(CheckpointError, match="'embedding' was trained with other settings.*--redo"):
        train_stages(other, output=tmp_path, stage="embedding")
    train_stages(other, output=tmp_path, stage="embedding", redo=True)
    assert (tmp_path / "embedding.previous" / "checkpoints" / "last.ckpt").exists()
    with pytest.raises(CheckpointError, match="'filter' was trained with other settings"):
        train_stages(other, output=tmp_path, stage="filter")


def test_a_cut_is_chosen_anew_without_training(trained: StagedRun, store: Path, tmp_path: Path):
    train_stages(trained.config, output=tmp_path, stage="embedding")
    first = read_state(tmp_path / "embedding")
    graph = {"radius": 0.5, "target_efficiency": 0.6, "max_radius": 2.0}
    train_stages(config(store, embedding={"graph": graph}), output=tmp_path, stage="embedding")
    second = read_state(tmp_path / "embedding")
    assert first is not None
    assert second is not None
    assert second.chosen["graph"]["radius"] < first.chosen["graph"]["radius"]
    assert second.checkpoint_fingerprint == first.checkpoint_fingerprint


def test_stages_start_from_the_weights_of_a_chain(trained: StagedRun, store: Path, tmp_path: Path):
    init = load_checkpoint(trained.folder / "checkpoints" / "best.ckpt")
    short = trained.config.model_copy(update={"training": trained.config.training.model_copy(update={"lr": 1e-12})})
    chain = train_stages(short, output=tmp_path, init=init)
    assert chain is not None
    for name, value in load_checkpoint(chain).weights.items():
        torch.testing.assert_close(value, init.weights[name], atol=1e-6, rtol=1e-5)


def test_a_stage_that_finds_nothing_says_why(trained: StagedRun, store: Path, tmp_path: Path):
    graph = {"radius": 1e-9, "target_efficiency": None, "max_radius": 2.0}
    empty = config(store, embedding={"graph": graph})
    train_stages(empty, output=tmp_path, stage="embedding")
    with pytest.raises(DataError, match="stage embedding: no edges in any of 7 events; mend"):
        train_stages(empty, output=tmp_path, stage="filter")
    assert not (tmp_path / "embedding" / "events").exists()


def test_mistakes_in_the_configuration_are_named(store: Path):
    values = config(store).model_dump()
    with pytest.raises(ConfigError, match="unknown stage 'embeding'.*embedding"):
        build_run_config(values | {"stages": {"embeding": {}}})
    with pytest.raises(ConfigError, match="unknown key 'max_epoch'.*max_epochs"):
        build_run_config(values | {"stages": {"gnn": {"max_epoch": 3}}})
    with pytest.raises(ConfigError, match="one of embedding and module_map"):
        build_run_config(values | {"model": {"embedding": None}})
    with pytest.raises(ConfigError, match="not made of stages"):
        build_run_config({"system": "eggnet", "stages": {"gnn": {}}})
    run = StagedRun(config=config(store), folder=Path("nowhere"))
    with pytest.raises(ConfigError, match="unknown stage 'filtr'.*filter"):
        run.spec("filtr")


def test_a_damaged_state_is_named(trained: StagedRun, tmp_path: Path):
    (tmp_path / "stage.json").write_text(json.dumps({"stage": "x"}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_state(tmp_path)


def test_truth_is_needed_for_training_and_not_for_inference(trained: StagedRun, store: Path, tmp_path: Path):
    event = EventStore(store)[0]
    for name in ("object_index", "object_id", "object_pt", "object_num_points", "truth_edge_index"):
        del event[name]
    result = Reconstructor(trained.folder)(event)
    assert result.labels.shape == (event.num_points,)
    path = tmp_path / "blind"
    with EventWriter(path, provenance={}) as writer:
        for number in range(4):
            event.event_id = number
            writer.write(event)
    blind = config(path).model_copy(update={"data": config(path).data.model_copy(update={"split": (2, 2, 0)})})
    with pytest.raises(DataError, match="field 'object_index' is needed and not in the data"):
        train_stages(blind, output=tmp_path / "run", stage="embedding")


def test_a_stage_is_judged_alone(trained: StagedRun):
    made = {name: EventStore(trained.folder / name / "events") for name in ("embedding", "filter")}
    for name, before in (("embedding", None), ("filter", "embedding")):
        quality = stage_quality(trained, name)
        assert quality["num_events"] == 2
        rows = made[name].indices("val")
        num_edges = sum(made[name][row].edge_index.shape[1] for row in rows)
        assert quality["after"]["target_purity"]["denominator"] == num_edges
        if before is None:
            assert quality["before"] is None
            assert quality["radius"]["curves"][0]["num_edges"][-1] >= num_edges
        else:
            came = sum(made[before][row].edge_index.shape[1] for row in rows)
            assert quality["before"]["target_purity"]["denominator"] == came
            assert quality["scores"]["num_edges"] == came
    with pytest.raises(DataError, match="no event is in split 'test'"):
        stage_quality(trained, "filter", split="test")
