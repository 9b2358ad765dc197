"""The files of an evaluation: whole or not at all, strict JSON, CSV that adds up, a page that loads nothing."""

from __future__ import annotations

import csv
import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest
from report_toy import toy_events, toy_result

from hitloom.cli.main import run
from hitloom.data.results import ResultWriter
from hitloom.data.store import EventWriter
from hitloom.errors import DataError
from hitloom.metrics import DEFINITIONS
from hitloom.report import write as write_module
from hitloom.report.config import EvaluationConfig
from hitloom.report.evaluate import evaluate_results
from hitloom.report.sources import Opened

PLOTS = {
    "track_eff_dbscan_vs_eps",
    "track_efficiency_pt",
    "track_efficiency_eta",
    "track_efficiency_phi",
    "track_efficiency_vertex_radius",
    "track_efficiency_vertex_z",
    "track_efficiency_hits",
    "fake_rate_pt",
    "fake_rate_eta",
    "loss_budget",
    "loss_budget_pt",
    "loss_budget_eta",
    "track_purity",
    "track_hit_efficiency",
    "inference_time",
}
SMALL = EvaluationConfig(
    scan=False, display=False, knn_k=None, axes=("pt",), presets=("headline",), num_resamples=10, pt_unit="MeV"
)
META = {
    "checkpoint_fingerprint": "0123456789abcdef",
    "store_fingerprint": "fedcba9876543210",
    "grouping": {"eps": 0.15, "min_samples": 3},
    "hardware": "toy computer",
}


@pytest.fixture(scope="module")
def events():
    return toy_events(2, num_particles=50)


@pytest.fixture(scope="module")
def written(events, tmp_path_factory):
    """Folder of a full evaluation with a baseline, the metrics, and matplotlib's settings before and after."""
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    before = dict(matplotlib.rcParams)
    metrics = evaluate_results(
        Opened(name="runs/<toy> & co", items=[toy_result(event) for event in events], meta=META),
        events=events,
        baselines={"worse": [toy_result(event, quality=0.6) for event in events]},
        output=folder,
    )
    return folder, metrics, before, dict(matplotlib.rcParams)


class Page(HTMLParser):
    """What a browser would fetch, and the text that a reader sees."""

    def __init__(self, text: str):
        super().__init__()
        self.loads: list[str] = []
        self.words: list[str] = []
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._hidden = tag in ("script", "style")
        for name, value in attrs:
            outside = not (value or "").startswith(("data:image/svg+xml;base64,", "#"))
            if name in ("src", "srcset", "data", "poster", "action", "href", "xlink:href") and outside:
                self.loads.append(f"{tag} {name}={value}")

    def handle_data(self, data):
        if not self._hidden:
            self.words.append(data)


def test_all_files_are_there_and_nothing_else(written):
    folder = written[0]
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    tables = {"metrics_pooled.csv", "metrics_binned.csv", "metrics_per_event.csv"}
    assert names == {"metrics.json", "report.html", *tables} | {f"plots/{name}.png" for name in PLOTS}
    for name in PLOTS:
        content = (folder / "plots" / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(content) > 5000


def test_metrics_json_is_strict_and_holds_the_contract(written):
    folder, metrics, _, _ = written
    content = json.loads(
        (folder / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    wanted = {"definition_version", "headline", "presets", "curves", "scan", "loss_budget", "timing", "diagnostics"}
    assert wanted <= set(content)
    assert content["presets"] == json.loads(json.dumps(metrics["presets"]))
    assert set(content["baselines"]["worse"]["presets"]) == set(content["presets"])
    assert all(isinstance(event_id, str) for event_id in content["per_event"]["event_id"])
    for targets in content["presets"].values():
        for entries in targets.values():
            for key, entry in entries.items():
                assert {"value", "numerator", "denominator", "interval", "definition"} <= set(entry), key
                assert (entry["value"] is None) == (entry["denominator"] == 0)
    assert content["provenance"]["config"]["eps_grid"][0] == 0.05
    assert content["timing"]["hardware"] == "toy computer"


def test_csv_files_add_up(written):
    folder, metrics, _, _ = written

    def rows(name):
        with (folder / f"metrics_{name}.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    pooled = {(r["result"], r["preset"], r["target"], r["rate"]): r for r in rows("pooled")}
    key = ("this result", "headline", "pt>1.0", "efficiency.double_majority")
    entry = metrics["headline"]["rates"]["efficiency.double_majority"]
    assert (int(pooled[key]["numerator"]), float(pooled[key]["value"])) == (entry["numerator"], entry["value"])
    assert {result for result, *_ in pooled} == {"this result", "worse"}
    per_event = [
        int(row["num_found"])
        for row in rows("per_event")
        if (row["result"], row["preset"], row["match"]) == ("this result", "headline", "double_majority")
    ]
    assert sum(per_event) == entry["numerator"]
    binned = [
        int(row["numerator"])
        for row in rows("binned")
        if (row["result"], row["preset"], row["axis"], row["rate"])
        == ("this result", "headline", "phi", "efficiency.double_majority")
    ]
    assert sum(binned) == entry["numerator"]


def test_the_report_loads_nothing_and_explains_itself(written):
    folder, metrics, _, _ = written
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.loads == []
    assert "default-src 'none'" in html.unescape(text[:3000])
    words = " ".join(" ".join(page.words).split())
    for key, entry in metrics["presets"]["headline"]["pt>1.0"].items():
        assert key in words
        assert DEFINITIONS[key].split(" [")[0] in words
        assert f"{entry['numerator']:,.0f} of" in words or isinstance(entry["numerator"], float)
    assert metrics["headline"]["cuts"] in words
    assert "runs/<toy> & co" in words
    assert metrics["data_fingerprint"] in words
    assert "difference to worse" in words
    for name in PLOTS:
        assert f'id="plot-{name}"' in text
    assert not re.search(r"/(?:tmp|home|work)/", words)


def test_matplotlib_keeps_its_settings(written):
    _, _, before, after = written
    assert before == after


def test_drawing_needs_no_pyplot():
    code = (
        "import sys\n"
        "from hitloom.report.curve_plots import curve_figure\n"
        "from hitloom.report.canvas import to_png\n"
        "one = {'value': [0.5], 'low': [0.3], 'high': [0.7], 'denominator': [10]}\n"
        "assert to_png(curve_figure({'a': one}, [0, 1], x_label='x', y_label='y'))\n"
        "print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


def fingerprint(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_failure_leaves_the_old_report(events, tmp_path, monkeypatch):
    results = [toy_result(event) for event in events]
    all_plots = write_module.plots_of
    monkeypatch.setattr(write_module, "plots_of", lambda *given: all_plots(*given)[:1])
    evaluate_results(results, events=events, config=SMALL, output=tmp_path / "out")
    before = fingerprint(tmp_path / "out")
    assert "plots/track_efficiency_pt.png" in before

    def broken(*_):
        raise RuntimeError("no page")

    with monkeypatch.context() as patch:
        patch.setattr(write_module, "report_page", broken)
        for folder in ("out", "new"):
            with pytest.raises(RuntimeError, match="no page"):
                evaluate_results(results[:1], events=events, config=SMALL, output=tmp_path / folder)
    assert fingerprint(tmp_path / "out") == before
    assert not (tmp_path / "new").exists()
    (tmp_path / "out" / "plots" / "mine.png").write_bytes(b"not of an evaluation")
    smaller = SMALL.model_copy(update={"axes": ("phi",)})
    evaluate_results(results[:1], events=events, config=smaller, output=tmp_path / "out")
    after = fingerprint(tmp_path / "out")
    assert "plots/track_efficiency_phi.png" in after
    assert "plots/track_efficiency_pt.png" not in after
    assert "plots/mine.png" in after
    assert not [name for name in after if ".making" in name]


def test_a_place_that_cannot_be_written_is_one_line(events, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written") as error:
        evaluate_results([toy_result(events[0])], events=events, config=SMALL, output=tmp_path / "file" / "out")
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def stored(events, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with EventWriter(folder / "events", provenance={"made_by": "tests"}) as writer:
        for event in events:
            writer.write(event)
    meta = META | {"store": str(folder / "events")}
    for name, quality in (("results", 1.0), ("worse", 0.6)):
        with ResultWriter(folder / name, "test", meta=meta) as writer:
            for event in events:
                writer.write(toy_result(event, quality=quality))
    return folder


def test_hitloom_eval_prints_definitions_beside_numbers(stored, capsys):
    settings = stored / "eval.yaml"
    settings.write_text("axes: [pt]\npresets: [headline, eggnet]\ntargets: {pt: [1, .inf], num_points: [3, .inf]}\n")
    arguments = ["eval", str(stored / "results"), "--config", str(settings), "--baseline", f"worse={stored / 'worse'}"]
    assert run([*arguments, "--no-scan", "--set", "display=false", "--set", "knn_k=null"]) == 0
    printed = capsys.readouterr().out
    metrics = json.loads((stored / "results" / "metrics.json").read_text())
    entry = metrics["headline"]["rates"]["efficiency.double_majority"]
    assert f"({entry['numerator']} of {entry['denominator']})" in printed
    assert "target particles with a matching valid track / target particles" in printed
    assert "worse:" in printed
    assert metrics["scan"] is None
    assert metrics["presets"]["own"]["targets"]
    assert metrics["provenance"]["split"] == "test"


def test_hitloom_display_writes_a_page_and_phoenix(stored, capsys):
    phoenix = stored / "phoenix.json"
    assert run(["display", str(stored / "results"), "--event", "12", "--phoenix", str(phoenix)]) == 0
    assert (stored / "results" / "event-12.html").stat().st_size > 1_000_000
    assert list(json.loads(phoenix.read_text())) == ["Event 12"]
    assert "event-12.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "{}/nowhere"], "no results-"),
        (["eval", "{}/results", "--events", "{}/nowhere"], "no such event store"),
        (["eval", "{}/results", "--set", "eps_gird=[0.1]"], "Did you mean 'eps_grid'"),
        (["eval", "{}/results", "--baseline", "worse"], "wanted NAME=DIR"),
        (["eval", "{}/results", "--split", "val"], "no results of split 'val'"),
        (["display", "{}/results", "--event", "99"], "no result of event 99"),
    ],
)
def test_wrong_arguments_leave_with_one_line(stored, capsys, arguments, message):
    assert run([argument.format(stored) for argument in arguments]) == 2
    complaint = capsys.readouterr().err.strip()
    assert message in complaint
    assert len([line for line in complaint.splitlines() if line.startswith("hitloom:")]) == 1


def test_templates_travel_with_the_package():
    from hitloom.report.page import template_text

    for name in ("report.html", "display.html", "panel.html", "style.css", "display.js"):
        assert template_text(name)
