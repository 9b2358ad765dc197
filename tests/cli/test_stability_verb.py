"""``hitloom stability`` on every kind of system: with scored edges and without, one model and two."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hitloom.data.perturb import ErrorBars, FeatureOffset
from hitloom.data.store import EventWriter
from hitloom.event import Event
from hitloom.registry import get_system
from hitloom.report.stability_run import Model, run_stability
from hitloom.training.checkpoint import make_header, save_checkpoint
from hitloom.training.reconstruct import Reconstructor
from hitloom.training.run_config import build_run_config
from tracker_toy import TINY, tracker_event
from trackster_toy import toy_trackster_event

EGGNET = {"node_rep_dim": 8, "edge_rep_dim": 8, "node_pspace_dim": 4, "num_iterations": 1, "num_gnns_per_iteration": 1}
LINKING = {"hidden": 8, "edge_hidden": 8, "num_iterations": 1}


def checkpoint(path: Path, system: str, model: dict[str, Any], seed: int) -> Path:
    """Write random weights as a checkpoint; those of linking split the toy events."""
    torch.manual_seed(seed)
    config = build_run_config({"system": system, "model": model})
    network = get_system(system)(config.model)
    if system == "linking":
        with torch.no_grad():
            for parameter in network.network.parameters():
                parameter.mul_(3.0)
        network.fit_inputs([toy_trackster_event(0)])
    header = make_header(config, network, data_fingerprint="", epoch=1, metrics={})
    save_checkpoint(path, header=header, weights=network.state_dict(), training={})
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of toy events, and checkpoints of three systems."""
    folder = tmp_path_factory.mktemp("stability")
    with EventWriter(folder / "tracksters", provenance={"made": "by hand"}) as writer:
        for seed in range(3):
            writer.write(toy_trackster_event(seed, num_particles=6, num_pileup=3))
        writer.write(toy_trackster_event(3, num_particles=0))
    with EventWriter(folder / "hits", provenance={"made": "by hand"}) as writer:
        for seed in range(2):
            writer.write(tracker_event(80, seed))
    for seed in (1, 2):
        checkpoint(folder / f"linking-{seed}.ckpt", "linking", LINKING, seed)
    checkpoint(folder / "eggnet.ckpt", "eggnet", EGGNET, 1)
    checkpoint(folder / "exatrkx.ckpt", "exatrkx", TINY["exatrkx"], 1)
    return folder


def numbers(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "stability.json").read_text())


def test_linking_with_maps_and_report(cli: Callable[..., Any], place: Path, tmp_path: Path):
    arguments = ["stability", place / "linking-1.ckpt", place / "tracksters", "--samples", 4, "--graph-samples", 2,
                 "--resolution", 30, "--edges", "--nodes"]  # fmt: skip
    outcome = cli(*arguments, "-o", tmp_path / "one")
    assert outcome.code == 0, outcome.err
    assert "linking-1: flip_rate" in outcome.out
    found = numbers(tmp_path / "one")
    assert found["settings"] == {
        "perturbation": {"kind": "error-bars", "with_z": True, "formula": "axes", "angles": True, "edges": True},
        "num_partition_samples": 2,
        "num_edge_samples": 4,
        "seed": 0,
    }
    model = found["models"]["linking-1"]
    assert model["threshold"] == 0.6
    assert [event["num_points"] > 0 for event in model["per_event"]] == [True, True, True, False]
    assert 0 < model["means"]["flip_rate"]["value"] < 1
    assert model["sums"]["num_edges"] == sum(event["num_edges"] for event in model["per_event"])
    plots = {path.stem for path in (tmp_path / "one" / "plots").iterdir()}
    assert plots == {
        "stability_perturbation", "stability_edges_flip_rate", "stability_edges_flips", "stability_edges_shift",
        "stability_dU_signal", "stability_dO_signal", "stability_dU_pileup", "stability_dO_pileup",
    }  # fmt: skip
    page = (tmp_path / "one" / "report.html").read_text()
    assert "Stability of linking-1" in page
    assert all(f'id="plot-{name}"' in page for name in plots)
    assert "http://" not in page.replace("http://www.w3.org", "")
    with np.load(tmp_path / "one" / "maps.npz") as maps:
        assert maps["linking-1/edges/count"].sum() == model["sums"]["num_edges"]


def test_the_seed_decides(place: Path):
    model = Model(name="m", reconstruct=Reconstructor(place / "linking-1.ckpt"), threshold=0.6)
    event = toy_trackster_event(1)

    def study(seed: int, events: list[Event]) -> list[dict[str, Any]]:
        run = run_stability([model], events, ErrorBars(), num_partition_samples=1, num_edge_samples=2, seed=seed)
        return run.result()["models"]["m"]["per_event"]

    first = study(0, [event])
    assert study(0, [toy_trackster_event(2), event])[1:] == first  # an event depends on no other
    assert study(1, [event]) != first


def test_two_models_on_the_same_samples(cli: Callable[..., Any], place: Path, tmp_path: Path):
    outcome = cli("stability", place / "linking-1.ckpt", place / "tracksters", "--against", place / "linking-2.ckpt",
                  "--against-threshold", 0.3, "--samples", 3, "--resolution", 20, "-o", tmp_path / "two")  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = numbers(tmp_path / "two")
    assert [model["threshold"] for model in found["models"].values()] == [0.6, 0.3]
    first, second = (model["means"] for model in found["models"].values())
    gap = found["comparison"]["differences"]["flip_rate"]
    assert gap["difference"] == pytest.approx(second["flip_rate"]["value"] - first["flip_rate"]["value"])
    assert 0 < found["comparison"]["agreement"]["disagreement"]["value"] <= 1
    assert (tmp_path / "two" / "plots" / "stability_edges_shift_difference.png").is_file()
    with np.load(tmp_path / "two" / "maps.npz") as maps:
        assert np.array_equal(maps["linking-1/edges/x"], maps["linking-2/edges/x"])
        assert not np.array_equal(maps["linking-1/edges/shift"], maps["linking-2/edges/shift"])


def test_without_noise_nothing_changes(place: Path):
    model = Model(name="m", reconstruct=Reconstructor(place / "linking-1.ckpt"), threshold=0.6)
    still = FeatureOffset(feature="raw_energy", max_offset=0.0)
    events = [toy_trackster_event(seed) for seed in (1, 2)]
    run = run_stability([model], events, still, num_partition_samples=2, num_edge_samples=2)
    means = run.result()["models"]["m"]["means"]
    assert means["flip_rate"]["value"] == means["shift"]["value"] == 0.0
    assert means["rand_index"]["value"] == means["kept_pairs"]["value"] == 1.0


@pytest.mark.parametrize("system", ["eggnet", "exatrkx"])
def test_systems_of_hits(cli: Callable[..., Any], place: Path, tmp_path: Path, system: str):
    outcome = cli("stability", place / f"{system}.ckpt", place / "hits", "--sigma", 2.0, "--samples", 2,
                  "--graph-samples", 2, "--resolution", 10, "-o", tmp_path / system)  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = numbers(tmp_path / system)
    assert found["settings"]["perturbation"] == {"kind": "smear", "sigma_mm": [2.0, 2.0, 2.0]}
    model = found["models"][system]
    assert ("flip_rate" in model["means"]) == (system == "exatrkx")
    assert (model["threshold"] is None) == (system == "eggnet")
    assert model["means"]["rand_index"]["value"] is not None
    plots = {path.stem for path in (tmp_path / system / "plots").iterdir()}
    assert ("stability_edges_flips" in plots) == (system == "exatrkx")
    assert {"stability_perturbation", "stability_dU_signal"} <= plots


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--perturbation", "smera"], "Did you mean 'smear'"),
        (["-p", "offset"], "no feature is named"),
        (["-p", "offset", "--feature", "raw_enrgy", "--samples", 1], "Did you mean 'raw_energy'"),
        (["--against-threshold", "0.5"], "mend: --against CHECKPOINT"),
        (["--split", "tst"], "Did you mean 'test'"),
        (["--sigma", "-1", "-p", "smear"], "0 mm or more"),
    ],
)
def test_mistakes_are_one_line(cli: Callable[..., Any], place: Path, tmp_path: Path, arguments: list[str], text: str):
    outcome = cli("stability", place / "linking-1.ckpt", place / "tracksters", *arguments, "-o", tmp_path / "no")
    assert outcome.code == 2
    (line,) = outcome.err.strip().splitlines()
    assert text in line
    assert not (tmp_path / "no").exists()


def test_a_threshold_for_a_system_without_edges(cli: Callable[..., Any], place: Path, tmp_path: Path):
    outcome = cli("stability", place / "eggnet.ckpt", place / "hits", "--threshold", 0.5, "-o", tmp_path / "no")
    assert outcome.code == 2
    assert "'eggnet' scores no edges" in outcome.err
    outcome = cli("stability", place / "eggnet.ckpt", place / "hits", "-p", "error-bars", "-o", tmp_path / "no")
    assert outcome.code == 2
    assert "sigmaPCA1" in outcome.err
