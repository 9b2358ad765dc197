"""HTML pages that load nothing: style, scripts, data and pictures travel inside the file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from hitloom._version import __version__
from hitloom.errors import DataError

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:"
)
"""Content security policy: the browser itself refuses every request to a network."""


def template_text(name: str) -> str:
    """Return the text of a file of ``report/templates``."""
    return (files("hitloom.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Any:
    import jinja2

    loader = jinja2.FunctionLoader(template_text)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def render(name: str, values: Mapping[str, Any]) -> str:
    """Fill the template ``name``; text is escaped, an unknown name is an error."""
    return str(_environment().get_template(name).render(**values))


def raw(text: str) -> Any:
    """Mark text as HTML that needs no escaping."""
    from markupsafe import Markup

    return Markup(text)


def script_json(text: str) -> Any:
    """Return JSON that may stand inside a script element: no ``</`` can end it."""
    return raw(text.replace("</", "<\\/").replace("<!--", "<\\!--"))


def plotly_script() -> Any:
    """Return the source of plotly.js, to be embedded once a page."""
    from plotly.offline import get_plotlyjs

    return raw(get_plotlyjs())


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: under a temporary name in its folder, then renamed.

    Raises
    ------
    DataError
        When the folder cannot be written to.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline=""
        ) as stream:
            temporary = stream.name
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def to_json(values: Any) -> str:
    """Return strict JSON: NaN and infinities become null (at any depth), keys keep their order.

    A list of plain values stands on one line, so that a long column does not become a long file.

    Examples
    --------
    >>> print(to_json({"a": [1.0, float("nan")], "b": {}}))
    {
     "a": [1.0, null],
     "b": {}
    }
    """
    return _write(_plain(values), "\n")


def _write(value: Any, newline: str) -> str:
    inner = newline + " "
    if isinstance(value, dict) and value:
        items = (f"{_scalar(key)}: {_write(item, inner)}" for key, item in value.items())
        return "{" + inner + ("," + inner).join(items) + newline + "}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[" + inner + ("," + inner).join(_write(item, inner) for item in value) + newline + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, int):
        return value
    return str(value)


NO_PANEL: dict[str, Any] = {"display": None, "panel": "", "plotly": "", "figures": "", "script": "", "data_id": ""}
"""What a report without an event display has in its place."""


def panel_page(title: str, panel: str, values: Mapping[str, Any]) -> str:
    """Return an event display, the template ``panel`` with its values, as a page of its own."""
    frame = {
        "title": title,
        "policy": POLICY,
        "style": raw(template_text("style.css")),
        "version": __version__,
        "plotly": plotly_script(),
        "panel": panel,
    }
    return render("panel_page.html", frame | dict(values))
