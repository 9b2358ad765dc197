"""All files of an evaluation: made completely beside their place first, then moved in, the report last."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hitloom.errors import DataError
from hitloom.metrics.tables import rows_binned, rows_per_event, rows_pooled
from hitloom.report.canvas import notice, to_png, to_svg
from hitloom.report.collect import HEADLINE
from hitloom.report.config import EvaluationConfig
from hitloom.report.csv_text import to_csv
from hitloom.report.page import to_json
from hitloom.report.plots import Chosen, plots_of, series_of
from hitloom.report.report_page import Drawn, report_page
from hitloom.report.view import EventView

REPORT = "report.html"
OWN_PLOTS = ("track_", "fake_rate_", "loss_budget", "edge_", "inference_time")
"""What the plots of an evaluation are called; others in the folder are left alone."""


def write_outputs(
    metrics: Mapping[str, Any], view: EventView | None, output: Path, config: EvaluationConfig
) -> list[Path]:
    """Write ``metrics.json``, the CSV files, ``plots/*.png`` and ``report.html`` into ``output``; return their paths.

    Everything is made in a hidden folder inside ``output`` before the first file is replaced, so an error on the way
    leaves what was there. Plots of an earlier evaluation that this one does not make are removed.

    Raises
    ------
    DataError
        When the folder cannot be written to.
    """
    existed = output.is_dir()
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".making-", ignore_cleanup_errors=True) as folder:
            making = Path(folder)
            _make(metrics, view, making, config)
            return _move(making, output)
    except OSError as error:
        raise DataError(f"{output}: cannot be written: {error.strerror or error}") from None
    finally:
        if not existed and output.is_dir() and not any(output.iterdir()):
            output.rmdir()


def _make(metrics: Mapping[str, Any], view: EventView | None, folder: Path, config: EvaluationConfig) -> None:
    chosen = (
        Chosen(preset="own", target="targets") if config.targets else Chosen(preset=HEADLINE[0], target=HEADLINE[1])
    )
    drawn = []
    for plot in plots_of(metrics, config, chosen):
        figure = plot.draw()
        if metrics["choices"]["truth_selected_input"]:
            notice(figure, "truth-selected input")
        drawn.append(Drawn(plot=plot, png=to_png(figure), svg=to_svg(figure)))
    (folder / "plots").mkdir()
    for item in drawn:
        (folder / "plots" / f"{item.plot.name}.png").write_bytes(item.png)
    texts = {
        "metrics.json": to_json(metrics) + "\n",
        "metrics_pooled.csv": _table(metrics, rows_pooled),
        "metrics_binned.csv": _table(metrics, rows_binned),
        "metrics_per_event.csv": _table(metrics, rows_per_event),
        REPORT: report_page(metrics, drawn, view, config, chosen),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")


def _table(metrics: Mapping[str, Any], rows_of: Any) -> str:
    """Return the rows of this result and of all baselines, told apart by the first column."""
    return to_csv(
        [{"result": name} | row for name, item in series_of(metrics).items() for row in rows_of(item)],
        empty_header=("result",),
    )


def _move(folder: Path, output: Path) -> list[Path]:
    new = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    (output / "plots").mkdir(exist_ok=True)
    for name in sorted(new, key=lambda name: name.name == REPORT):
        os.replace(folder / name, output / name)
    for old in (output / "plots").glob("*.png"):
        if old.relative_to(output) not in new and old.name.startswith(OWN_PLOTS):
            old.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    return [output / name for name in new]
