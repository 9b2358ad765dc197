"""A whole chain as files, and the script that runs them without hitloom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hitloom.config import build
from hitloom.data.module_map_files import read_module_map
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.export import ParityError, export_chain
from hitloom.result import Scores
from hitloom.systems.exatrkx import ExaTrkX, ModuleMapStage
from tracker_toy import TINY, module_event, rich_event

pytest.importorskip("onnxruntime")

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "examples" / "run_exatrkx_onnx.py"
# neither may be imported by the script
ALONE = "import runpy, sys; sys.modules.update(torch=None, hitloom=None); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"  # noqa: E501
FEATURES = {"features": ["r", "cos_phi", "sin_phi", "phi", "z", "lx"], "scales": [1000, 1, 1, 3.14159, 1000, 1]}


def toy_event(num_points: int, seed: int) -> Event:
    """A toy event off the ideal cylinders: between points of one radius the slope of an edge is rounding alone."""
    event = rich_event(num_points, seed)
    generator = torch.Generator().manual_seed(seed)
    event.pos = event.pos * (1 + 0.05 * torch.rand(num_points, 1, generator=generator))
    names = list(event.feature_names)
    event.x[:, names.index("r")] = event.pos[:, :2].norm(dim=1)
    event.x[:, names.index("z")] = event.pos[:, 2]
    return event


def chain(**changes: Any) -> ExaTrkX:
    """A chain with random weights whose cuts each pass about half of the edges of toy events."""
    torch.manual_seed(4)
    settings = {
        "embedding": TINY["exatrkx"]["embedding"] | {
            "inputs": FEATURES, "graph": {"radius": 0.4, "max_neighbours": 6, "forbid_same_module": True},
        },
        "filter": TINY["exatrkx"]["filter"] | {"inputs": FEATURES | {"optional": ["lx"]}},
        "gnn": TINY["exatrkx"]["gnn"],
    }  # fmt: skip
    system = ExaTrkX(build(ExaTrkX.Config, settings | changes)).eval()
    with torch.no_grad():
        if system.filter is None:
            return system
        event = toy_event(120, 1)
        middle = float(system(event).stages["filter"].edge_score.sigmoid().median())
        edge_filter = system.filter.config.model_copy(update={"cut": middle})
        system.config = system.config.model_copy(update={"filter": edge_filter})
        system.filter.config = edge_filter
        middle = float(system(event).edge_score.sigmoid().quantile(0.8))
        segmentation = system.gnn.config.segmentation.model_copy(update={"score_cut": middle})
        gnn = system.gnn.config.model_copy(update={"segmentation": segmentation})
        system.config = system.config.model_copy(update={"gnn": gnn})
        system.gnn.config = gnn
    return system


def write_event(path: Path, event: Event) -> None:
    np.savez(
        path, features=event.x.numpy(), feature_names=np.array(event.feature_names), pos=event.pos.numpy(),
        volume=event.volume.numpy(), layer=event.layer.numpy(), module=event.module.numpy(),
    )  # fmt: skip


def run_script(*arguments: object) -> str:
    command = [sys.executable, "-c", ALONE, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.fixture(scope="module")
def system() -> ExaTrkX:
    return chain()


@pytest.fixture(scope="module")
def folder(system: ExaTrkX, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain") / "made"
    export_chain(system, folder, to="onnx", tolerance=1e-5)
    return folder


def test_a_chain_is_a_file_for_each_stage_and_a_description(system: ExaTrkX, folder: Path):
    content = json.loads((folder / "chain.json").read_text())
    names = ["chain.json"]
    for stage in content["stages"]:
        names += [stage["file"], f"{stage['file']}.report.json"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert [stage["name"] for stage in content["stages"]] == ["embedding", "filter", "gnn"]
    embedding, edge_filter, gnn = content["stages"]
    assert embedding["settings"]["graph"] == {"radius": 0.4, "max_neighbours": 6, "forbid_same_module": True}
    assert embedding["settings"]["scales"] == FEATURES["scales"]
    assert edge_filter["settings"]["cut"] == system.filter.config.cut
    assert edge_filter["settings"]["optional"] == ["lx"]
    assert gnn["settings"]["segmentation"]["score_cut"] == system.gnn.config.segmentation.cut
    assert gnn["inputs"] == [
        {"name": "features", "dtype": "float32", "shape": ["num_points", 3]},
        {"name": "pos", "dtype": "float32", "shape": ["num_points", 3]},
        {"name": "edge_index", "dtype": "int64", "shape": [2, "num_edges"]},
        {"name": "edge_score", "dtype": "float32", "shape": ["num_edges"]},
    ]
    assert gnn["outputs"] == [{"name": "score", "dtype": "float32", "shape": ["num_edges"]}]


@pytest.mark.parametrize("num_points", [0, 1, 2, 120, 251])
def test_the_script_gives_hitlooms_own_result(system: ExaTrkX, folder: Path, tmp_path: Path, num_points: int):
    event = toy_event(num_points, 9)
    with torch.no_grad():
        scores: Scores = system(event)
        result = system.reconstruct(scores, event)
    write_event(tmp_path / "event.npz", event)
    said = run_script(folder, tmp_path / "event.npz", "-o", tmp_path / "tracks.npz")
    found = np.load(tmp_path / "tracks.npz")
    assert np.array_equal(found["edge_index"], scores.edge_index.numpy())
    np.testing.assert_allclose(found["edge_score"], scores.edge_score.sigmoid().numpy(), rtol=0, atol=1e-5)
    assert np.array_equal(found["labels"], result.labels.numpy())
    assert f"{int(result.labels.max()) + 1 if num_points else 0} tracks of {num_points} points" in said
    if num_points > 100:
        assert scores.edge_index.shape[1] > 50
        assert 1 < int(result.labels.max()) + 1 < num_points // 3


def test_an_event_whose_graph_is_empty(folder: Path, tmp_path: Path):
    event = toy_event(40, 3)
    event.volume, event.layer, event.module = (torch.zeros_like(event.module) for _ in range(3))
    write_event(tmp_path / "event.npz", event)
    run_script(folder, tmp_path / "event.npz", "-o", tmp_path / "tracks.npz")
    found = np.load(tmp_path / "tracks.npz")
    assert found["edge_index"].shape == (2, 0)
    assert (found["labels"] == -1).all()


def test_a_feature_that_is_missing_is_named(folder: Path, tmp_path: Path):
    event = toy_event(20, 3)
    event.x, event.feature_names = event.columns(["r", "phi"]), ["r", "phi"]
    write_event(tmp_path / "event.npz", event)
    with pytest.raises(subprocess.CalledProcessError) as error:
        run_script(folder, tmp_path / "event.npz", "-o", tmp_path / "tracks.npz")
    assert "feature 'z' is needed" in error.value.stderr
    assert not (tmp_path / "tracks.npz").exists()


def test_nothing_is_left_of_a_chain_that_differs(system: ExaTrkX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hitloom.systems.exatrkx.exportable import ExportableEdges

    monkeypatch.setattr(ExportableEdges, "reference", lambda self, *x: self.forward(*x) + 0.1, raising=False)
    with pytest.raises(ParityError, match="nothing was written"):
        export_chain(system, tmp_path / "made", to="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_chain_replaces_an_older_one(tmp_path: Path):
    first = export_chain(chain(), tmp_path / "made", to="torchscript")
    second = export_chain(chain(filter=None, gnn=TINY["exatrkx-gnn"]), tmp_path / "made", to="torchscript")
    assert [stage["name"] for stage in first["stages"]] == ["embedding", "filter", "gnn"]
    assert json.loads((tmp_path / "made" / "chain.json").read_text()) == second
    assert [stage["name"] for stage in second["stages"]] == ["embedding", "gnn"]


def test_a_module_map_is_written_as_text(tmp_path: Path):
    events = [module_event(64, seed) for seed in range(3)]
    fitted = ModuleMapStage.fit(ModuleMapStage.Config(), events)
    config = {"module_map": fitted.config.model_dump(), "gnn": TINY["exatrkx-gnn"]}
    system = ExaTrkX(build(ExaTrkX.Config, config)).eval()
    system.module_map.load_state_dict(fitted.state_dict())
    content = export_chain(system, tmp_path / "made", to="torchscript")
    first, second = content["stages"]
    assert (first["file"], first["inputs"], first["settings"]["method"]) == ("module_map.txt", [], "minmax")
    assert second["file"] == "gnn.pt"
    again = read_module_map(tmp_path / "made" / "module_map.txt")
    wanted = system.module_map.build(Scores(), events[0]).edge_index
    assert wanted.shape[1] > 10
    assert torch.equal(again.edges(events[0], method="minmax"), wanted)


def test_a_chain_is_not_one_file():
    with pytest.raises(ConfigError, match="--stage one of embedding, filter, gnn, or --stage all"):
        chain().export_signature()
