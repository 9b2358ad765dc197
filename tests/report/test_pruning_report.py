"""The verbs eval and display on pruned tracksters, and the files they leave."""

from __future__ import annotations

import contextlib
import csv
import html
import io
import json
import re

import pytest
from pruning_results import result_of, tracksters

from hitloom.data.results import ResultWriter
from hitloom.data.store import EventStore, EventWriter


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store of tracksters, results of two networks, and the report of the better one."""
    folder = tmp_path_factory.mktemp("pruning")
    events = tracksters()
    with EventWriter(folder / "events", provenance={"made by": "toy"}) as writer:
        for event in events:
            writer.write(event)
    store = EventStore(folder / "events")
    for name, power in (("good", 4.0), ("weak", 1.0)):
        meta = {"store": str(store.path), "store_fingerprint": store.fingerprint(), "checkpoint_fingerprint": name}
        with ResultWriter(folder / name, "test", meta=meta) as writer:
            for event in events:
                writer.write(result_of(event, power=power))
    code, printed = run(
        "eval", folder / "good", "--baseline", f"weak={folder / 'weak'}", "--set", "num_resamples=50",
        "--set", "num_displays=1", "--set", "baselines=[keep_all]",
    )  # fmt: skip
    assert code == 0, printed
    return folder, printed


def run(*arguments):
    """Run ``hitloom``; return its exit code and all that it printed."""
    from hitloom.cli.main import run as run_verb

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = run_verb([str(argument) for argument in arguments])
    return code, printed.getvalue()


def test_eval_prints_numbers_with_definitions_and_leaves_every_file(stored):
    folder, printed = stored
    assert "free-running" in printed
    assert "2 TP / (2 TP + FP + FN)" in printed
    for name in ("metrics.json", "metrics_pooled.csv", "metrics_binned.csv", "metrics_per_event.csv", "report.html"):
        assert (folder / "good" / name).stat().st_size > 500, name
    plots = {path.stem for path in (folder / "good" / "plots").glob("*.png")}
    assert {"size_f1", "size_exact_match", "share_accuracy", "curve_roc", "curve_precision_recall", "scan_threshold",
            "curve_calibration", "sample_sizes", "sample_shares"} <= plots  # fmt: skip
    assert sum(name.startswith("trackster_") for name in plots) == 1


def test_numbers_for_scripts_agree_between_the_files(stored):
    folder, _ = stored
    metrics = json.loads((folder / "good" / "metrics.json").read_text())
    assert metrics["family"] == "pruning"
    assert set(metrics["baselines"]) == {"weak", "keep_all"}
    rows = list(csv.DictReader((folder / "good" / "metrics_pooled.csv").read_text().splitlines()))
    f1 = [row for row in rows if (row["result"], row["group"], row["name"]) == ("weak", "all", "f1")]
    assert float(f1[0]["value"]) == metrics["baselines"]["weak"]["rates"]["all"]["f1"]["value"]
    assert float(f1[0]["low"]) < float(f1[0]["value"]) < float(f1[0]["high"])
    single = list(csv.DictReader((folder / "good" / "metrics_per_event.csv").read_text().splitlines()))
    assert len(single) == 3 * 24
    own = [row for row in single if row["result"] == "this result"]
    assert sum(int(row["true_positive"]) for row in own) == sum(metrics["per_event"]["counts"]["true_positive"])


def test_the_page_loads_nothing_and_names_sample_cuts_labels_and_intervals(stored):
    page = html.unescape((stored[0] / "good" / "report.html").read_text())
    assert "default-src 'none'" in page
    assert not re.search(r"<(?:script|img|link)[^>]+(?:src|href)=\"https?:", page)
    for text in ("free-running", "bootstrap over 24 tracksters", "those stored with the events",
                 "Pruning of tracksters", "pruning-display", "keep_all"):  # fmt: skip
        assert text in page, text


def test_display_draws_a_trackster_before_and_after(stored):
    folder, _ = stored
    code, printed = run("display", folder / "good", "--event", 7, "-o", folder / "seven.html")
    assert code == 0, printed
    page = (folder / "seven.html").read_text()
    assert "before pruning" in page
    assert "after pruning" in page
    assert "area 20 + 10 E" in page


def test_phoenix_is_refused_in_one_line(stored):
    folder, _ = stored
    code, printed = run("display", folder / "good", "-o", folder / "one.html", "--phoenix", folder / "one.json")
    assert code == 2
    assert "--phoenix" in printed
    assert "Traceback" not in printed
    assert not (folder / "one.json").exists()
