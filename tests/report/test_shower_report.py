"""The verbs eval and display on wire views, and the files they leave."""

from __future__ import annotations

import csv
import html
import json
import re

import pytest
from shower_results import result_of, shower_views

from hitloom.data.results import ResultWriter
from hitloom.data.store import EventStore, EventWriter


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store of wire views, results of a network, and their report."""
    folder = tmp_path_factory.mktemp("showers")
    events = shower_views(3)
    with EventWriter(folder / "events", provenance={"made by": "toy"}) as writer:
        for event in events:
            writer.write(event)
    store = EventStore(folder / "events")
    meta = {
        "store": str(store.path), "store_fingerprint": store.fingerprint(), "checkpoint_fingerprint": "good",
        "grouping": {"threshold": 0.55, "accessory_max_hits": 1},
    }  # fmt: skip
    with ResultWriter(folder / "good", "test", meta=meta) as writer:
        for event in events:
            writer.write(result_of(event, threshold=0.55))
    code, printed = run("eval", folder / "good", "--set", "num_resamples=50", "--set", "num_pictures=1")
    assert code == 0, printed
    return folder, printed


def run(*arguments):
    """Run ``hitloom``; return its exit code and all that it printed."""
    import contextlib
    import io

    from hitloom.cli.main import run as run_verb

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = run_verb([str(argument) for argument in arguments])
    return code, printed.getvalue()


def test_eval_prints_rows_with_definitions_and_leaves_every_file(stored):
    folder, printed = stored
    for text in ("adjusted Rand index", "perfect", "of the way from 'none' to 'target'", "similarity > 0.55"):
        assert text in printed
    tables = ("pooled", "binned", "per_event", "per_particle")
    texts = ("metrics_test_clustering.txt", "metrics_test_sim.txt")
    for name in ("metrics.json", *(f"metrics_{table}.csv" for table in tables), *texts, "report.html"):
        assert (folder / "good" / name).stat().st_size > 200, name
    plots = {path.stem for path in (folder / "good" / "plots").glob("*.png")}
    assert {"clusters_ari", "leading_ari", "shower_completeness", "histogram_ari"} <= plots
    assert sum(name.startswith("slice_") for name in plots) == 1
    assert sum(name.startswith("similarity_") for name in plots) == 1


def test_metrics_file_names_the_rows_of_the_contract(stored):
    metrics = json.loads((stored[0] / "good" / "metrics.json").read_text())
    assert {"none", "rules", "target", "perfect"} <= metrics["baselines"].keys()
    assert metrics["family"] == "showers"
    assert len(metrics["histograms"]["edges"]) == 101
    assert sum(metrics["histograms"]["ari"]) == metrics["partitions"]["all"]["all"]["ari"]["denominator"]


def test_every_particle_has_a_row_with_its_hits_and_energies(stored):
    with (stored[0] / "good" / "metrics_per_particle.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["pdg"] for row in rows} == {"11", "22", "13"}
    for row in rows:
        assert int(row["correct_hits"]) <= min(int(row["num_hits"]), int(row["group_hits"]))
        assert float(row["correct_energy_gev"]) <= float(row["hit_energy_gev"]) * (1 + 1e-6)


def test_report_loads_nothing_and_has_every_definition_and_display(stored):
    page = (stored[0] / "good" / "report.html").read_text()
    assert not re.search(r"""(src|href)=["']https?://""", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    text = html.unescape(page)
    metrics = json.loads((stored[0] / "good" / "metrics.json").read_text())
    for definition in metrics["choices"]["rates"].values():
        assert definition in text
    assert 'id="shower-display"' in page
    assert "{{" not in page.split("<script>", maxsplit=1)[0]


def test_display_shows_the_three_views_of_the_slice(stored):
    folder, _ = stored
    code, printed = run("display", folder / "good", "--event", "15", "-o", folder / "slice.html")
    assert code == 0, printed
    page = (folder / "slice.html").read_text()
    names = re.findall(r"data-view=\"\d\"[^>]*>([^<]+)<", page)
    assert names == ["1 U", "1 V", "1 W"]


def test_a_root_file_of_another_reconstruction_that_is_missing_is_refused_in_one_line(stored):
    folder, _ = stored
    code, printed = run("eval", folder / "good", "-o", folder / "out", "--baseline", f"reco={folder / 'none.root'}")
    assert code == 2
    assert "none.root" in printed
    assert "Traceback" not in printed
