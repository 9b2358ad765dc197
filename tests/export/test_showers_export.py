"""Exported shower growing: the fused form and the parts in every format, at sizes never traced."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest
import torch
from shower_export_toy import make_showers, readable_views, toy_views

from hitloom.errors import ConfigError
from hitloom.export import FORMATS, export
from hitloom.export.contract import contract_path
from hitloom.nn.pair_head import PairHead
from hitloom.systems.showers.exportable import (
    EncoderPart,
    FusedShowers,
    ScriptedSimilarity,
    SimilarityPart,
    example_view,
    pair_logits,
    part_signatures,
    raw_columns,
    scripted,
)
from hitloom.systems.showers.system import Showers

pytest.importorskip("onnxruntime")
FORMS: dict[str, dict[str, object]] = {
    "usual": {},
    "volumes, tier": {"inputs": {"preset": 9, "tier": True}, "augmentation": {"enabled": True}},
    "no gap, ordered": {"inputs": {"preset": 10}, "similarity": {"hidden": 20, "form": "ordered"}},
}


def make(form: str) -> Showers:
    return make_showers(**FORMS[form])


@pytest.mark.parametrize(
    ("form", "to"),
    [("usual", to) for to in FORMATS] + [("volumes, tier", "torchscript"), ("no gap, ordered", "onnx")],
)
def test_the_fused_file_gives_the_similarity_of_the_system(form: str, to: str, tmp_path: Path):
    system, path = make(form), tmp_path / f"showers{FORMATS[to][1]}"
    report = export(system, path, to=to)
    assert max(check["max_difference"] for check in report["parity"]) < 1e-5
    sizes = [(check["num_clusters"], check["num_hits"]) for check in report["parity"]]
    assert {(1, 1), (2, 2), (40, 400), (200, 700)} <= set(sizes)  # one hit in each cluster among them
    run = importlib.import_module(FORMATS[to][0]).reader(path)
    columns = raw_columns(system.inputs.names)
    for event in readable_views(system)[:4]:
        places = [event.part_feature_names.index(name) for name in columns]
        inputs = [event.part_x[:, places], event.part_point_index, event.layer]
        inputs += [event.x[:, 1]] if system.config.inputs.tier else []
        with torch.no_grad():
            expected = system(event).own["similarity"].view(event.num_points, -1)
        torch.testing.assert_close(run(*inputs)[0], expected, atol=1e-5, rtol=1e-5)
        assert event.num_points == 1 or float(expected.std()) > 1e-4


@pytest.mark.parametrize("to", ["torchscript", "onnx"])
def test_every_part_goes_into_a_file(to: str, tmp_path: Path):
    system = make("usual")
    for name, signature in part_signatures(system).items():
        report = export(system, tmp_path / f"{name}{FORMATS[to][1]}", to=to, signature=signature)
        assert [next(iter(check.values())) for check in report["parity"]] == [1, 2, 7, 40, 200]
        assert max(check["max_difference"] for check in report["parity"]) < 5e-6


def test_a_view_without_clusters_goes_through_the_compiled_parts():
    system = make("usual")
    signatures = part_signatures(system)
    empty = signatures["attention"].traced()(torch.zeros(1, 0, 8))
    assert signatures["similarity"].traced()(empty).shape == (1, 0, 0)


def test_parts_one_after_the_other_are_the_network():
    """Encoder cluster by cluster, attention, similarity: as batches of the system do."""
    system = make("usual")
    parts = {name: signature.traced() for name, signature in part_signatures(system).items()}
    event = toy_views()[0]
    rows, cluster = system.inputs(event)
    with torch.no_grad():
        vectors = [parts["encoder"](rows[cluster == number][None]) for number in range(event.num_points)]
        assert vectors[0].shape == (1, 1, 8)
        found = parts["similarity"](parts["attention"](torch.cat(vectors, 1)))
        expected = system(event).own["similarity"].view(1, event.num_points, -1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("num", [0, 1, 2, 50])
def test_all_forms_of_the_pair_head_agree(symmetric: bool, num: int, monkeypatch: pytest.MonkeyPatch):
    """Blocks of rows, blocks of hidden units and the head of the library, on the diagonal and off it."""
    monkeypatch.setattr("hitloom.systems.showers.exportable.BLOCK_NUMBERS", 19 * 120)  # several blocks of rows
    torch.manual_seed(num)
    head = PairHead(num_inputs=6, hidden=19, symmetric=symmetric).eval()
    vectors = torch.randn(num, 6)
    with torch.no_grad():
        expected = head(vectors)
        torch.testing.assert_close(pair_logits(head, vectors), expected, atol=1e-6, rtol=1e-6)
        found = scripted(ScriptedSimilarity(head))(vectors[None])
    torch.testing.assert_close(found[0], expected.sigmoid(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(found[0], found[0].T, atol=2e-7, rtol=0)


def test_blocks_of_the_pair_head_stay_small():
    """At 2,000 clusters and 512 hidden units one block holds 4 MB, where all pairs at once would hold 8 GB."""
    head = PairHead(num_inputs=4, hidden=512)
    rows = max(1, ScriptedSimilarity(head).block // 2000)
    assert rows * 2000 * 512 * 4 <= 5e6


def test_the_similarity_does_not_depend_on_the_order_of_the_clusters():
    system = make("usual")
    part = SimilarityPart(system.network.similarity)
    vectors, order = torch.randn(1, 30, 8), torch.randperm(30)
    with torch.no_grad():
        torch.testing.assert_close(part(vectors[:, order]), part(vectors)[:, order][:, :, order], atol=1e-6, rtol=1e-6)


def test_a_hit_without_energy_is_read_as_in_training():
    """The C++ side takes the logarithm of 0; the encoder limits it, and only logarithms."""
    system = make("usual")
    event = toy_views()[0]
    event.part_x[3, event.part_feature_names.index("energy")] = 0.0
    rows, _ = system.inputs(event)
    unlimited = rows.clone()
    unlimited[3, system.inputs.names.index("energy")] = -math.inf
    part = EncoderPart(system.network, system.inputs.names).eval()
    with torch.no_grad():
        found, expected = part(unlimited[None, :5]), system.network.encoder(rows[None, :5])
    assert bool(torch.isfinite(found).all())
    torch.testing.assert_close(found, expected)


def test_columns_that_were_never_shown_stay_hidden_in_the_fused_file():
    system = make_showers(inputs={"added_from_epoch": 4})
    module = FusedShowers(system)
    inputs = example_view(5, 20, module.columns)[:3]
    with torch.no_grad():
        torch.testing.assert_close(module(*inputs), module.reference(*inputs), atol=1e-6, rtol=1e-5)
        before = module.reference(*inputs)
        system.inputs.epoch.fill_(4)
        assert float((FusedShowers(system).reference(*inputs) - before).abs().max()) > 1e-5


def test_the_contract_names_columns_and_the_grouping(tmp_path: Path):
    system = make("volumes, tier")
    export(system, tmp_path / "showers.pt", to="torchscript", sizes=[(3, 9)])
    contract = json.loads(contract_path(tmp_path / "showers.pt").read_text())
    columns = [item["name"] for item in contract["hit_columns"]]
    assert columns == ["x", "z", "x_width", "x_gap", "pitch", "energy", "tpc_volume", "daughter_volume"]
    assert [item["name"] for item in contract["features"]] == list(system.inputs.names)
    assert {item["name"]: item["unit"] for item in contract["hit_columns"]}["energy"] == "MIP"
    assert list(contract["inputs"]) == ["hits", "cluster", "cluster_view", "tier"]
    assert contract["thresholds"]["threshold"] == system.config.grouping.threshold
    assert contract["trained_with_augmentation"] is True


@pytest.mark.parametrize("preset", [2, 3, 5])
def test_columns_that_no_file_can_make_are_refused(preset: int):
    with pytest.raises(ConfigError, match="mend: a training with"):
        make_showers(inputs={"preset": preset}).export_signature()
