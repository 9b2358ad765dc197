"""The folder for the chain of Pandora: parts, sidecar, lines of XML; features of the C++ side; validation on events."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from shower_export_toy import make_showers, readable_views, toy_views

from hitloom.cli.main import run
from hitloom.data.shower_columns import scaled_columns
from hitloom.data.store import EventWriter
from hitloom.errors import ConfigError, DataError
from hitloom.export.pandora import PART_FILES, SIDECAR, SNIPPET, export_pandora, pandora_settings, read_sidecar
from hitloom.export.pandora_check import feature_difference, validate
from hitloom.export.served_showers import ServedShowers, cluster_features
from hitloom.systems.showers.system import Showers
from hitloom.training.checkpoint import make_header, save_checkpoint
from hitloom.training.run_config import build_run_config

ITERATED = {"augmentation": {"enabled": True}, "grouping": {"mode": "iterated", "threshold": 0.6, "max_iterations": 5}}
WITH_TIER = ITERATED | {"inputs": {"preset": 9, "tier": True}}


@pytest.fixture(scope="module")
def system() -> Showers:
    return make_showers(grouping={"threshold": 0.5})


@pytest.fixture(scope="module")
def folder(system: Showers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pandora") / "models"
    export_pandora(system, path)
    return path


def test_the_folder_holds_three_parts_a_sidecar_and_the_settings(system: Showers, folder: Path):
    assert {path.name for path in folder.iterdir()} == {*PART_FILES.values(), SIDECAR, SNIPPET}
    content = read_sidecar(folder)
    assert [item["name"] for item in content["columns"]] == list(system.inputs.names)
    scaled = {item["name"]: (item["scale"], item["log"]) for item in content["columns"]}
    assert scaled["r"] == ("polar_r", False)
    assert scaled["pitch"] == ("cartesian_z", False)
    assert scaled["energy"] == scaled["num_hits"] == (None, True)
    assert (content["preset"], content["detector"]) == (8, "dune-fd-hd")
    assert content["scales"] == {name: system.inputs.scales[name] for name in content["scales"]}
    assert sum(part["num_parameters"] for part in content["parts"].values()) == content["num_parameters"]
    assert content["num_parameters"] == system.num_parameters
    for part in content["parts"].values():
        assert max(check["max_difference"] for check in part["parity"]) < 5e-6


def test_calls_have_the_shapes_of_the_chain(folder: Path):
    """Float32 on the CPU: (1, hits, 14) -> (1, 1, e), (1, N, e) -> (1, N, a), (1, N, a) -> (1, N, N)."""
    encoder, attention, similarity = (torch.jit.load(folder / PART_FILES[name]) for name in PART_FILES)
    for num_hits in (1, 3, 60):
        with torch.inference_mode():
            vector = encoder(torch.randn(1, num_hits, 14))
        assert (vector.shape, vector.dtype) == ((1, 1, 8), torch.float32)
    for num in (1, 2, 33):
        with torch.inference_mode():
            found = similarity(attention(torch.randn(1, num, 8)))
        assert (found.shape, found.dtype) == ((1, num, num), torch.float32)
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1


@pytest.mark.parametrize(
    ("inputs", "size"),
    [
        ({"preset": 8}, 14),
        ({"preset": 10}, 13),
        ({"preset": 8, "cardinality": False}, 12),
        ({"preset": 9}, 16),
        ({"preset": 9, "tier": True}, 17),
        ({"preset": 10, "tier": True, "cardinality": False}, 12),
    ],
)
def test_features_built_from_the_settings_are_the_columns_of_the_network(inputs: dict, size: int):
    """All columns, cardinality and tier too, computed hit by hit from the settings alone."""
    system = make_showers(inputs=inputs, augmentation={"enabled": bool(inputs.get("tier"))})
    settings = pandora_settings(system)
    assert system.inputs.num_inputs == size
    assert (
        11
        + settings["IncludeDistToXGapFeature"]
        + len(settings["EncodeLArTPCVolIDs"])
        + 2 * settings["IncludeHitCardinalityFeatures"]
        + settings["IncludeHitNIterationNumFeature"]
        == size
    )
    for event in readable_views(system):
        assert feature_difference(system, event, settings) < 2e-6


def test_one_hit_by_hand():
    settings = pandora_settings(make_showers(**WITH_TIER))
    hit = {"x": 3.0, "z": -4.0, "x_width": 0.5, "x_gap": -20.0, "pitch": 0.479, "energy": 2.0}
    hit |= {"tpc_volume": 1.0, "daughter_volume": 0.0}
    found = cluster_features([hit, hit], 5, 7, 3, settings)[0]
    polar, along_x, along_z = 0.0005044863, 0.001378694, 0.0007171852
    wanted = [
        5 * polar, 0.6, -0.8, 3 * along_x, -4 * along_z, 0.5 * along_x, 0.479 * along_z, -20 * along_x, math.log(2),
        0, 1, 0, 0, 1, math.log(2), math.log(7), math.log(3),
    ]  # fmt: skip
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    at_vertex = cluster_features([hit | {"x": 0.0, "z": 0.0, "energy": 0.0}], 4, 1, 1, settings)[0]
    assert at_vertex[:3].tolist() == [0, 0, 0]
    assert at_vertex[8] == -math.inf


def test_a_merged_view_has_the_features_of_the_next_iteration():
    """Hits and clusters of the merged view stand in their own columns, and the tier counts up for every cluster."""
    from hitloom.data.shower_merge import merge_clusters

    system = make_showers(**WITH_TIER)
    settings = pandora_settings(system)
    event = readable_views(system)[0]
    merged = merge_clusters(event, torch.arange(event.num_points) // 3)
    rows = scaled_columns(merged, system.inputs.names, system.inputs.scales)
    for cluster in range(merged.num_points):
        mine = (merged.part_point_index == cluster).nonzero()[:, 0].tolist()
        hits = [dict(zip(merged.part_feature_names, merged.part_x[hit].tolist(), strict=True)) for hit in mine]
        built = cluster_features(hits, 4, merged.num_points, 2, settings)
        np.testing.assert_allclose(built, rows[mine].numpy(), rtol=2e-6, atol=2e-6)


def test_the_settings_for_the_chain(system: Showers, folder: Path):
    algorithm = ElementTree.fromstring((folder / SNIPPET).read_text().split("-->", 1)[1])
    assert algorithm.attrib["type"] == "LArDLTwoDShowerGrowing"
    found = {item.tag: item.text for item in algorithm if isinstance(item.tag, str)}
    assert found["ModelEncoderFileName"] == "net_intra_cluster_encoder.pt"
    assert found["ModelAttnFileName"] == "net_inter_cluster_attn.pt"
    assert found["ModelSimFileName"] == "net_inter_cluster_sim.pt"
    assert float(found["SimilarityThreshold"]) == 0.5
    assert (found["SimilarityThresholdBeta"], found["AccessoryClusterMaxHits"]) == ("1", "2")
    assert found["IncludeDistToXGapFeature"] == found["IncludeHitCardinalityFeatures"] == "true"
    assert found["IncludeHitNIterationNumFeature"] == "false"
    assert float(found["PolarRScaleFactor"]) == 0.0005044863
    assert float(found["CartesianXScaleFactor"]) == 0.001378694
    assert float(found["CartesianZScaleFactor"]) == 0.0007171852
    assert "EncodeLArTPCVolIDs" not in found


def test_iterating_is_off_unless_the_model_was_trained_on_merged_clusters(system: Showers, folder: Path):
    content = read_sidecar(folder)
    assert content["trained_with_augmentation"] is False
    assert content["settings"]["MaxIterations"] == 1
    assert any("never saw merged clusters" in note for note in content["notes"])
    never = make_showers(grouping={"mode": "iterated", "max_iterations": 10})
    assert pandora_settings(never)["MaxIterations"] == 1
    assert pandora_settings(make_showers(**ITERATED))["MaxIterations"] == 5
    assert pandora_settings(make_showers(augmentation={"enabled": True}))["MaxIterations"] == 1


def test_volumes_and_the_second_stage_in_the_settings():
    settings = pandora_settings(make_showers(**WITH_TIER))
    assert (settings["EncodeLArTPCVolIDs"], settings["EncodeDaughterVolIDs"]) == ([0, 1], [0, 0])
    assert settings["IncludeHitNIterationNumFeature"] is True
    two = make_showers(grouping={"mode": "two_stage", "threshold": 0.8, "second_threshold": 0.4})
    assert pandora_settings(two)["SimilarityThresholdBeta"] == 0.5
    assert pandora_settings(make_showers(grouping={"mode": "components"}))["AccessoryClusterMaxHits"] == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"inputs": {"preset": 7}}, "column 9 'num_hits' where 'view_u' is built"),
        ({"inputs": {"preset": 1}}, "column 0 'x' where 'r' is built"),
        ({"inputs": {"preset": 3}}, "mend: a training with inputs.preset 8, 9 or 10"),
        ({"inputs": {"added_from_epoch": 3}}, "the weights never saw num_hits, num_clusters"),
        ({"grouping": {"mode": "leiden"}}, "grouping.mode leiden is none of the algorithm"),
    ],
)
def test_a_model_that_the_chain_cannot_feed_is_refused(changes: dict, text: str, tmp_path: Path):
    from hitloom.config import build
    from hitloom.systems.showers.config import ShowersConfig

    inputs = {"added_from_epoch": 0} | changes.get("inputs", {})
    system = Showers(build(ShowersConfig, changes | {"inputs": inputs}))
    with pytest.raises(ConfigError, match=text):
        export_pandora(system, tmp_path / "models")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [{"inputs": {"num_waves": 4}}, ITERATED, WITH_TIER, {"grouping": {"mode": "two_stage", "threshold": 0.7}}],
)
def test_the_files_agree_with_the_system_on_shuffled_views(changes: dict, tmp_path: Path):
    """Complete features, hits and clusters in another order, groups after all iterations."""
    system = make_showers(**changes)
    export_pandora(system, tmp_path / "models")
    found = validate(system, tmp_path / "models", readable_views(system), seed=3)
    assert (found.num_views, found.num_equal_groups) == (5, 5)
    assert found.num_pairs == 30**2 + 45**2 + 12**2 + 1
    assert found.num_outside == 0
    assert found.largest < 1e-5
    assert found.largest_feature < 2e-6
    assert int(found.counts.sum()) == found.num_pairs
    assert [view["clusters"] for view in found.timing] == [30, 45, 12, 1]
    served = ServedShowers(tmp_path / "models")
    grown = [served.grow(event) for event in readable_views(system)]
    assert max(int(one.labels.bincount().max()) for one in grown if len(one.labels) > 1) > 2
    if changes is ITERATED:
        assert max(one.num_merges for one in grown) > 1


def test_the_validation_finds_a_difference(system: Showers, folder: Path):
    other = make_showers(grouping={"threshold": 0.5})
    with torch.no_grad():
        other.network.similarity.pair[2].bias.add_(0.01)
    found = validate(other, folder, toy_views()[:1])
    assert found.largest > 1e-4
    assert found.num_outside > 100


def test_files_and_sidecar_belong_together(folder: Path, tmp_path: Path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = json.loads((copy / SIDECAR).read_text())

    def refused(change: dict[str, object], text: str) -> None:
        (copy / SIDECAR).write_text(json.dumps(content | change))
        with pytest.raises(DataError, match=text):
            ServedShowers(copy)

    refused({"version": 2}, "version 2 came")
    refused({"settings": content["settings"] | {"IncludeDistToXGapFeature": False}}, "build other columns")
    (copy / PART_FILES["attention"]).write_bytes(b"other")
    refused({}, "not the file that shower_growing.json was written with")
    (copy / PART_FILES["attention"]).unlink()
    refused({}, "no such file, named in")
    (copy / SIDECAR).unlink()
    with pytest.raises(DataError, match="mend: hitloom export CHECKPOINT --to pandora"):
        ServedShowers(copy)


def test_the_command_line_writes_and_validates(system: Showers, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = build_run_config({"system": "showers", "model": system.config.model_dump(mode="json")})
    header = make_header(config, system, data_fingerprint="", epoch=1, metrics={})
    save_checkpoint(tmp_path / "showers.ckpt", header=header, weights=system.state_dict(), training={})
    with EventWriter(tmp_path / "store", provenance={"made": "by hand"}) as writer:
        for event in toy_views()[:3]:
            writer.write(event)
    command = ["export", str(tmp_path / "showers.ckpt"), "--to", "pandora"]
    folder = tmp_path / "models"
    assert run([*command, "-o", str(folder), "--validate", str(tmp_path / "store")]) == 0
    said = capsys.readouterr().out
    assert "<MaxIterations>1</MaxIterations>" in said
    assert "note: the model never saw merged clusters" in said
    assert "3 views, 3069 pairs, 0 of them differ" in said
    assert "groups equal in 3 views" in said
    numbers = json.loads((folder / "validation.json").read_text())
    assert numbers["num_views_with_equal_groups"] == 3
    for name in ("difference", "timing"):
        assert (folder / f"validation_{name}.png").read_bytes().startswith(b"\x89PNG")
    for more, text in (
        (["--stage", "all"], "mend: no --stage"),
        (["--to", "pandorra"], "Did you mean 'pandora'"),
        (["--to", "onnx", "--validate", "store"], "mend: --to pandora"),
        (["--set", "model.grouping.mode=leiden"], "none of the algorithm"),
    ):
        code = run([*command, *more])
        said = capsys.readouterr()
        assert (code, said.out) == (2, "")
        assert text in said.err
        assert said.err.count("\n") == 1
