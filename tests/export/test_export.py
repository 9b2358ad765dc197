"""Exported EggNets run elsewhere and say the same, at sizes that were never traced."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hitloom.errors import ConfigError
from hitloom.export import FORMATS, ParityError, export
from hitloom.nn.traceable_knn import traceable_knn
from hitloom.ops import knn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "systems"))
from eggnet_toy import SCORED, tiny

from hitloom.systems.eggnet import EggNet

pytest.importorskip("onnxruntime")

FILTERED = {
    "num_iterations": 1,
    "num_gnns_per_iteration": 2,
    "r_max": 0.5,
    "fourier_features": ("phi",),
    **SCORED,
}


def filtered(**changes: Any) -> EggNet:
    """A network whose first cut passes half of the export's own inputs, and whose last passes half of those."""

    def build(first: float, end: float) -> EggNet:
        return tiny(**(FILTERED | changes), node_hard_filter=(first, end), node_soft_filter=(first * 1.02,)).eval()

    features = build(0.0, 0.0).export_signature().example(200)[0]
    with torch.no_grad():
        system = build(0.0, 0.0)
        first = system.score(0, system.node_0(system.encoder(system.inputs(features)))).sigmoid()
        cut = float(first.median())
        end = float(build(cut, 0.0).run(features).point_score.sigmoid()[first > cut].median())
    return build(cut, end)


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_parity_at_sizes_never_traced_with_every_output(to: str, tmp_path: Path):
    system = filtered()
    path = tmp_path / "model.file"
    report = export(system, path, to=to, sizes=(7, 200, 1001))
    assert json.loads((tmp_path / "model.file.report.json").read_text()) == report
    assert sorted(child.name for child in tmp_path.iterdir()) == ["model.file", "model.file.report.json"]
    assert report["outputs"] == ["embedding", "point_score", "kept"]
    assert report["bytes"] == path.stat().st_size
    assert [check["num_points"] for check in report["parity"]] == [7, 200, 1001]
    assert report["traced_at"] not in (7, 200, 1001)
    assert report["parity"][0]["max_difference"] < 1e-5
    scores = system.run(system.export_signature().example(200)[0])
    assert 20 < int(scores.kept.sum()) < 80


def test_torchscript_runs_the_plain_network_on_the_smallest_events(tmp_path: Path):
    report = export(tiny(num_iterations=1), tmp_path / "m.pt", to="torchscript", sizes=(0, 1, 2, 3, 300))
    assert report["outputs"] == ["embedding"]
    assert all(check["agreement"] >= 0.99 for check in report["parity"])


def test_a_file_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hitloom.systems.eggnet.exportable import ExportableEggNet

    original = ExportableEggNet.reference
    monkeypatch.setattr(ExportableEggNet, "reference", lambda self, x: tuple(o + 0.1 for o in original(self, x)))
    with pytest.raises(ParityError, match="nothing was written"):
        export(tiny(num_iterations=0), tmp_path / "m.pt", to="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="Did you mean 'onnx'"):
        export(tiny(), tmp_path / "m", to="onx")
    with pytest.raises(ConfigError, match="batchnorm"):
        export(filtered(batchnorm=True), tmp_path / "m", to="torchscript")


def test_export_leaves_the_system_as_it_was(tmp_path: Path):
    system = tiny(num_iterations=0).train()
    before = {name: value.clone() for name, value in system.state_dict().items()}
    export(system, tmp_path / "m.pt", to="torchscript", sizes=(5,))
    assert system.training
    assert all(torch.equal(value, before[name]) for name, value in system.state_dict().items())


@pytest.mark.parametrize("num_points", [0, 1, 2, 9, 128, 300])
def test_the_traceable_search_finds_the_exact_neighbours(num_points: int):
    generator = torch.Generator().manual_seed(num_points)
    z = torch.randn(num_points, 5, generator=generator)
    asks, chosen = (torch.rand(num_points, generator=generator) < 0.7 for _ in range(2))
    everyone = torch.ones(num_points, dtype=torch.bool)
    for radius in (None, 1.5):
        exact = knn(z, 6, r_max=radius, method="blocked").index
        assert torch.equal(traceable_knn(z, 6, asks=everyone, chosen=everyone, r_max=radius), exact)
    exact = knn(z, 6, mask=chosen, method="blocked").index
    found: Tensor = traceable_knn(z, 6, asks=asks, chosen=chosen)
    assert torch.equal(found[asks], exact[asks])
    assert (found[~asks] == -1).all()
