"""All files of an evaluation: made completely beside their place first, then moved in, the report last."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hitloom.errors import DataError
from hitloom.metrics.tables import rows_binned, rows_per_event, rows_pooled
from hitloom.report.canvas import notice, to_png, to_svg
from hitloom.report.collect import HEADLINE
from hitloom.report.config import EvaluationConfig
from hitloom.report.csv_text import to_csv
from hitloom.report.page import to_json
from hitloom.report.page_parts import Drawn
from hitloom.report.plot import Plot
from hitloom.report.plots import Chosen, plots_of, series_of
from hitloom.report.report_page import report_page
from hitloom.report.view import EventView

REPORT = "report.html"
OWN_PLOTS = ("track_", "fake_rate_", "loss_budget", "edge_", "inference_time")
"""What the plots of an evaluation are called; others in the folder are left alone."""


def write_outputs(
    metrics: Mapping[str, Any], view: EventView | None, output: Path, config: EvaluationConfig
) -> list[Path]:
    """Write ``metrics.json``, the CSV files, ``plots/*.png`` and ``report.html`` into ``output``; return their paths.

    See :func:`write_folder`.
    """
    return write_folder(output, lambda folder: _make(metrics, view, folder, config), own_plots=OWN_PLOTS)


def write_folder(output: Path, make: Callable[[Path], None], *, own_plots: tuple[str, ...]) -> list[Path]:
    """Let ``make`` write an evaluation and move it into ``output``, the report last; return the paths.

    Everything is made in a hidden folder inside ``output`` before the first file is replaced, so an error on the way
    leaves what was there. Plots of an earlier evaluation that this one does not make are removed: those whose names
    begin with one of ``own_plots``.

    Raises
    ------
    DataError
        When the folder cannot be written to.
    """
    existed = output.is_dir()
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".making-", ignore_cleanup_errors=True) as folder:
            make(Path(folder))
            return _move(Path(folder), output, own_plots)
    except OSError as error:
        raise DataError(f"{output}: cannot be written: {error.strerror or error}") from None
    finally:
        if not existed and output.is_dir() and not any(output.iterdir()):
            output.rmdir()


def _make(metrics: Mapping[str, Any], view: EventView | None, folder: Path, config: EvaluationConfig) -> None:
    chosen = (
        Chosen(preset="own", target="targets") if config.targets else Chosen(preset=HEADLINE[0], target=HEADLINE[1])
    )
    truth = "truth-selected input" if metrics["choices"]["truth_selected_input"] else ""
    drawn = draw_all(plots_of(metrics, config, chosen), folder / "plots", warning=truth)
    texts = {
        "metrics.json": to_json(metrics) + "\n",
        "metrics_pooled.csv": _table(metrics, rows_pooled),
        "metrics_binned.csv": _table(metrics, rows_binned),
        "metrics_per_event.csv": _table(metrics, rows_per_event),
        REPORT: report_page(metrics, drawn, view, config, chosen),
    }
    write_texts(texts, folder)


def draw_all(plots: Iterable[Plot], folder: Path, *, warning: str = "") -> list[Drawn]:
    """Draw plots, write each as PNG into ``folder``, and return all pictures; ``warning`` stands above each."""
    folder.mkdir()
    drawn = []
    for plot in plots:
        figure = plot.draw()
        if warning:
            notice(figure, warning)
        drawn.append(Drawn(plot=plot, png=to_png(figure), svg=to_svg(figure)))
        (folder / f"{plot.name}.png").write_bytes(drawn[-1].png)
    return drawn


def write_texts(texts: Mapping[str, str], folder: Path) -> None:
    """Write files of text, name -> content."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")


def _table(metrics: Mapping[str, Any], rows_of: Any) -> str:
    """Return the rows of this result and of all baselines, told apart by the first column."""
    return to_csv(
        [{"result": name} | row for name, item in series_of(metrics).items() for row in rows_of(item)],
        empty_header=("result",),
    )


def _move(folder: Path, output: Path, own_plots: tuple[str, ...]) -> list[Path]:
    new = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    (output / "plots").mkdir(exist_ok=True)
    for name in sorted(new, key=lambda name: name.name == REPORT):
        os.replace(folder / name, output / name)
    for old in (output / "plots").glob("*.png"):
        if old.relative_to(output) not in new and old.name.startswith(own_plots):
            old.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    return [output / name for name in new]
