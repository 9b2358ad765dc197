"""The example of a documentation page, run as it stands there."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"


def names_of_example(page: Path) -> dict[str, Any]:
    """Return what the one example in Python of a page defines."""
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(page), "exec"), names)
    return names
