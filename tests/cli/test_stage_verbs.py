"""``hitloom train --stage`` and ``hitloom stage``, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hitloom.cli.main import run
from hitloom.data.store import EventStore, EventWriter
from tracker_toy import TINY, tracker_event


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verbs")
    with EventWriter(folder / "events", provenance={}) as writer:
        for number in range(5):
            writer.write(tracker_event(40, number))
    model = {name: dict(values) for name, values in TINY["exatrkx"].items()}
    values = {
        "system": "exatrkx",
        "model": model,
        "data": {"store": str(folder / "events"), "split": [3, 2, 0]},
        "training": {"max_epochs": 1, "warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"},
        "stages": {
            "embedding": {"monitor": "val_edge_f1"},
            "filter": {"monitor": "val_purity_at_99"},
            "gnn": {"monitor": "val_edge_efficiency"},
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_stages_one_by_one(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "run"
    begin = ["train", str(recipe), "--output", str(folder)]
    assert run([*begin, "--stage", "filter"]) == 2
    assert "stage 'embedding' is not trained yet" in capsys.readouterr().err
    assert run([*begin, "--stage", "embedding"]) == 0
    assert run(["stage", "list", str(folder)]) == 0
    listed = capsys.readouterr().out
    assert "embedding: trained" in listed
    assert "filter: not trained" in listed
    assert run(["stage", "apply", str(folder), "--stage", "embedding"]) == 0
    assert "edge_index" in EventStore(folder / "embedding" / "events").fields
    assert run(["stage", "eval", str(folder), "--stage", "embedding"]) == 0
    assert "target_purity" in capsys.readouterr().out
    assert json.loads((folder / "embedding" / "evaluation-val.json").read_text())["num_events"] == 2
    # a run folder is a recipe: no other argument is needed to go on
    assert run(["train", str(folder), "--resume"]) == 0
    assert "chain of all stages" in capsys.readouterr().out
    assert run(["info", str(folder), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in info["stages"]] == ["embedding", "filter", "gnn"]
    assert run(["infer", str(folder), str(recipe.parent / "events"), "--output", str(tmp_path / "results")]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "{recipe}", "--stage", "filtr"], "unknown stage 'filtr'. Did you mean 'filter'?"),
        (["train", "{recipe}", "-c", "eggnet-small"], "--resume"),
        (["train", "eggnet-trackml", "--stage", "gnn"], "not made of stages"),
        (["stage", "apply", "{folder}", "--stage", "gnn"], "no config.yaml"),
        (["stage", "list", "nowhere"], "no config.yaml"),
    ],
)
def test_mistakes_are_one_line(
    recipe: Path, tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
):
    texts = [text.format(recipe=recipe, folder=tmp_path) for text in arguments]
    if texts[0] == "train":
        texts += ["--output", str(tmp_path / "run")]
    assert run(texts) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert "Traceback" not in errors
