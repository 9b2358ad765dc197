"""``hitloom export`` on a chain: one stage, all of them, the form of ACTS, and every mistake in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hitloom.cli.main import run
from hitloom.systems.exatrkx import ExaTrkX
from hitloom.training.checkpoint import make_header, save_checkpoint
from hitloom.training.run_config import build_run_config
from hitloom.training.stage_folder import StageState, write_state
from tracker_toy import TINY

Answer = tuple[int, str, str]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a chain with random weights."""
    torch.manual_seed(7)
    config = build_run_config({"system": "exatrkx", "model": TINY["exatrkx"]})
    system = ExaTrkX(config.model)
    path = tmp_path_factory.mktemp("run") / "chain.ckpt"
    header = make_header(config, system, data_fingerprint="", epoch=1, metrics={})
    save_checkpoint(path, header=header, weights=system.state_dict(), training={})
    return path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Answer]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        code = run(["export", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_all_stages_and_one(cli: Callable[..., Answer], checkpoint: Path, tmp_path: Path):
    code, out, err = cli(checkpoint, "--stage", "all", "--to", "torchscript")
    assert (code, err) == (0, "")
    folder = tmp_path / "chain-torchscript"
    stages = json.loads((folder / "chain.json").read_text())["stages"]
    assert [stage["file"] for stage in stages] == ["embedding.pt", "filter.pt", "gnn.pt"]
    assert "gnn: 40 points, 0 edges: 1.0000 agree within 0.0001, largest difference 0" in out
    assert "3 stages and chain.json" in out
    code, out, err = cli(checkpoint, "--stage", "filter", "--to", "torchscript", "--set", "model.filter.cut=0.25")
    assert (code, err) == (0, "")
    settings = json.loads((tmp_path / "chain-filter.pt.report.json").read_text())["settings"]
    assert settings["cut"] == 0.25
    code, _, err = cli(checkpoint, "--stage", "gnn", "--to", "torchscript", "--acts", "-o", "gnn.pt")
    assert (code, err) == (0, "")
    loaded = torch.jit.load(tmp_path / "gnn.pt")
    edges = torch.tensor([[0, 3], [2, 1]])
    assert loaded(torch.rand(4, 3), edges).shape == (2, 1)


def test_a_finished_stage_of_a_run_that_goes_on(cli: Callable[..., Answer], tmp_path: Path):
    torch.manual_seed(8)
    config = build_run_config({"system": "exatrkx", "model": TINY["exatrkx"]})
    stage = ExaTrkX(config.model).embedding
    own = build_run_config({"system": stage.name, "model": TINY["exatrkx"]["embedding"]})
    header = make_header(own, stage, data_fingerprint="", epoch=1, metrics={})
    folder = tmp_path / "run" / "embedding"
    path = folder / "checkpoints" / "best.ckpt"
    save_checkpoint(path, header=header, weights=stage.state_dict(), training={})
    (tmp_path / "run" / "config.yaml").write_text(config.to_yaml())
    graph = stage.config.graph.model_dump() | {"radius": 0.123}
    settings = stage.config.model_dump(mode="json") | {"graph": graph}
    state = StageState(
        stage="embedding", inputs="", free="", checkpoint="checkpoints/best.ckpt", checkpoint_fingerprint="",
        settings=settings,
    )  # fmt: skip
    write_state(folder, state)
    code, _, err = cli("run", "--stage", "embedding", "--to", "torchscript", "-o", "embed.pt")
    assert (code, err) == (0, "")
    settings = json.loads((tmp_path / "embed.pt.report.json").read_text())["settings"]
    assert settings["graph"]["radius"] == 0.123
    code, _, err = cli("run", "--stage", "filter", "--to", "torchscript")
    assert code == 2
    assert "stage 'filter' is not trained yet" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "mend: --stage one of embedding, filter, gnn, or --stage all"),
        (["--stage", "gn"], "unknown stage 'gn'. Did you mean 'gnn'"),
        (["--stage", "all", "--to", "onx"], "Did you mean 'onnx'"),
        (["--stage", "gnn", "--edge-attr"], "mend: --acts --edge-attr"),
        (["--stage", "gnn", "--to", "safetensors"], "holds the whole chain"),
        (["--acts"], "leave --acts out"),
    ],
)
def test_mistakes_are_one_line(
    cli: Callable[..., Answer], checkpoint: Path, tmp_path: Path, arguments: list[str], text: str
):
    code, out, err = cli(checkpoint, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert text in line
    assert list(tmp_path.iterdir()) == []
