"""``hitloom compare``: what a method is, which events count, what is kept, and the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hitloom.cli.compare_run import Method, parse_methods
from hitloom.data.results import open_results
from hitloom.errors import ConfigError

FAST = ["--set", "display=false", "--set", "scan=false", "--set", "num_resamples=10", "--set", "presets=[hitloom]",
        "--set", "axes=[pt]", "-a", "cpu"]  # fmt: skip


def test_methods_are_told_by_what_they_are(workshop: Path):
    given = [
        "ckf",
        "scan=helix_dbscan",
        "eggnet-small",
        str(workshop / "run"),
        f"late={workshop}/run/checkpoints/last.ckpt",
    ]
    assert parse_methods(given) == [
        Method(name="ckf", kind="baseline", what="ckf"),
        Method(name="scan", kind="baseline", what="helix-dbscan"),
        Method(name="eggnet-small", kind="checkpoint", what="eggnet-small"),
        Method(name="run", kind="checkpoint", what=str(workshop / "run")),
        Method(name="late", kind="checkpoint", what=f"{workshop}/run/checkpoints/last.ckpt"),
    ]
    assert parse_methods(["helix_dbscan"])[0].name == "helix_dbscan"
    assert parse_methods([f"{workshop}/run/checkpoints/best.ckpt"])[0].name == "run"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["ckff"], "no baseline, no shipped weights and no such path. Did you mean 'ckf'"),
        (["egnet-small"], "Did you mean 'eggnet-small'"),
        (["=ckf"], "NAME=WHAT"),
        (["a="], "NAME=WHAT"),
        (["a=ckf", "a=helix_dbscan"], "the name 'a' is taken; mend: OTHER=helix-dbscan"),
        (["../a=ckf"], "letters, digits"),
        ([], "at least one method"),
    ],
)
def test_bad_methods_are_named(given: list[str], text: str):
    with pytest.raises(ConfigError) as caught:
        parse_methods(given)
    assert text in str(caught.value)


@pytest.fixture(scope="module")
def compared(workshop: Path, tmp_path_factory: pytest.TempPathFactory):
    """The folder of a comparison on events that the training has not seen, and what it printed."""
    import sys

    from hitloom.registry import SYSTEMS

    training_tests = str(Path(__file__).resolve().parents[1] / "training")
    if training_tests not in sys.path:
        sys.path.insert(0, training_tests)
    SYSTEMS["tiny"] = "tiny_system:Tiny"
    from tiny_system import tiny_event

    from hitloom.data.store import EventWriter

    folder = tmp_path_factory.mktemp("compared")
    with EventWriter(folder / "store", provenance={"made": "by hand"}) as writer:
        for number in range(20, 24):
            writer.write(tiny_event(number))
    return folder, [
        "compare",
        str(folder / "store"),
        f"ours={workshop / 'run'}",
        "helix_dbscan",
        "-o",
        str(folder / "out"),
    ]


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch):
    """Leave out the drawing, which one test of the table looks at."""
    monkeypatch.setattr("hitloom.report.write.plots_of", lambda *_: [])


def test_all_methods_stand_in_one_table_on_the_same_events(compared, cli: Callable):
    folder, command = compared
    answer = cli(*command, "--limit", 3, *FAST)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("ours", "helix_dbscan"))][:2] == [
        "ours",
        "helix_dbscan",
    ]
    assert "ours minus the other" in answer.out
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert metrics["name"] == "ours"
    assert set(metrics["baselines"]) == {"helix_dbscan"}
    assert metrics["per_event"]["event_id"] == metrics["baselines"]["helix_dbscan"]["per_event"]["event_id"]
    assert metrics["num_events"] == 3
    assert metrics["comparisons"]["helix_dbscan"]["num_events"] == 3
    assert "Side by side" in (folder / "out" / "report.html").read_text()


def test_what_is_there_is_kept_and_more_events_are_added(compared, cli: Callable, without_plots):
    folder, command = compared
    cli(*command, "--limit", 3, *FAST)
    path = folder / "out" / "results" / "ours" / "results-compared.parquet"
    before = path.stat().st_mtime_ns
    cli(*command, "--limit", 2, *FAST)
    assert path.stat().st_mtime_ns == before
    assert json.loads((folder / "out" / "metrics.json").read_text())["num_events"] == 2
    assert cli(*command, "--main", "helix_dbscan", *FAST).code == 0
    assert len(open_results(path.parent)) == 4
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert (metrics["name"], set(metrics["baselines"]), metrics["num_events"]) == ("helix_dbscan", {"ours"}, 4)


def test_results_of_another_checkpoint_are_refused_or_redone(
    compared, cli: Callable, workshop: Path, tmp_path: Path, without_plots
):
    folder, _ = compared
    first = ["compare", str(folder / "store"), f"ours={workshop / 'run'}", "-o", str(tmp_path), "--limit", 1, *FAST]
    assert cli(*first).code == 0
    from hitloom.training.checkpoint import export_weights, load_checkpoint

    other = load_checkpoint(workshop / "run" / "checkpoints" / "best.ckpt")
    other.weights["net.0.bias"] += 1
    export_weights(other, tmp_path / "other.safetensors")
    first[2] = f"ours={tmp_path / 'other.safetensors'}"
    refused = cli(*first)
    assert refused.code == 2
    assert "redo" in refused.err
    assert cli(*first, "--redo").code == 0


def test_a_folder_of_results_limits_the_events_of_all(compared, cli: Callable, tmp_path: Path, without_plots):
    folder, command = compared
    alone = ["compare", str(folder / "store"), "helix_dbscan", "-o", str(tmp_path / "a"), "--limit", 2, *FAST]
    assert cli(*alone).code == 0
    results = tmp_path / "a" / "results" / "helix_dbscan"
    answer = cli(*command[:3], f"old={results}", "-o", str(tmp_path / "b"), *FAST)
    assert answer.code == 0, answer.err
    metrics = json.loads((tmp_path / "b" / "metrics.json").read_text())
    assert (metrics["num_events"], metrics["baselines"]["old"]["num_events"]) == (2, 2)


def test_events_of_the_training_are_refused(workshop: Path, cli: Callable, tmp_path: Path, without_plots):
    command = ["compare", workshop / "store", f"ours={workshop / 'run'}", "-o", tmp_path / "out", *FAST]
    refused = cli(*command, "--split", "all")
    assert refused.code == 2
    assert "was trained on 5 of these 9 events" in refused.err
    assert not (tmp_path / "out").exists()
    assert cli(*command).code == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["num_events"] == 1  # the test split
    assert cli(*command, "--split", "all", "--allow-training").code == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["num_events"] == 9


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        (["--main", "our"], "--main 'our': no method has this name. Did you mean 'ours'"),
        (["--split", "tset"], "unknown split 'tset'. Did you mean 'test'"),
        (["--set", "knn=3"], "knn"),
    ],
)
def test_bad_options_are_one_line(compared, cli: Callable, extra: list[str], text: str):
    _, command = compared
    answer = cli(*command, *extra, *FAST)
    assert answer.code == 2
    assert text in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_tracks_of_results_as_text(compared, cli: Callable, tmp_path: Path, without_plots):
    folder, command = compared
    cli(*command, "--limit", 3, *FAST)
    results = folder / "out" / "results" / "ours"
    answer = cli("data", "tracks", results, "-o", tmp_path / "tracks")
    assert answer.code == 0
    for result in open_results(results):
        lines = (tmp_path / "tracks" / f"event{result.event_id}.txt").read_text().splitlines()
        assert len(lines) == result.num_candidates
        assert sum(len(line.split()) for line in lines) == int((result.labels >= 0).sum())
