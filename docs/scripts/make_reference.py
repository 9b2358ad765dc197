"""Write docs/generated/*.md from the code: the event's field table, configuration keys, metric definitions."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from hitloom.event import field_table_markdown

GENERATED = Path(__file__).resolve().parents[1] / "generated"


def keys_of(model: type[BaseModel]) -> str:
    """Return one table of keys, types and defaults of a configuration class."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        kind = str(field.annotation).replace("typing.", "").replace("|", "\\|")
        kind = kind.removeprefix("<class '").removesuffix("'>").split(".")[-1] if "class" in kind else kind
        default = "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
        if isinstance(field.get_default(call_default_factory=True), BaseModel):
            default = "see its table"
        lines.append(f"| `{name}` | {kind} | {default} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def _collect(model: type[BaseModel], seen: dict[str, type[BaseModel]]) -> None:
    """Add a model and, in the order of their fields, all models inside it."""
    seen.setdefault(model.__name__, model)
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            if inner.__name__ not in seen:
                _collect(inner, seen)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def configuration_page() -> str:
    """Return the page of every configuration class that a recipe can hold."""
    from hitloom.simulate.calorimeter_config import CalorimeterConfig
    from hitloom.simulate.tracker_config import TrackerConfig
    from hitloom.systems.eggnet import EggNet
    from hitloom.systems.exatrkx import ExaTrkX
    from hitloom.training.run_config import RunConfig

    seen: dict[str, type[BaseModel]] = {"RunConfig": RunConfig}
    for owner in (RunConfig, EggNet.Config, ExaTrkX.Config):
        _collect(owner, seen)
    seen["TrackerConfig (simulation)"] = TrackerConfig
    _collect(CalorimeterConfig, seen)
    parts = ["# Configuration\n\nEvery key of a recipe. Unknown keys are errors that name the nearest key.\n"]
    for name, model in seen.items():
        summary = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
        summary = re.sub(r"\n(Attributes|Parameters)\n-+\n(.|\n)*", "", summary)
        parts.append(f"## {name}\n\n{summary}\n\n{keys_of(model)}")
    return "\n".join(parts)


def definitions_page() -> str:
    """Return the page of metric definitions with the version they belong to."""
    from hitloom.metrics import DEFINITION_VERSION, DEFINITIONS

    lines = [f"# Metric definitions\n\nVersion {DEFINITION_VERSION}.\n", "| name | definition |", "|---|---|"]
    lines += [f"| `{name}` | {str(text).replace('|', chr(92) + '|')} |" for name, text in DEFINITIONS.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all generated pages."""
    GENERATED.mkdir(exist_ok=True)
    intro = "# The event\n\nLengths mm, energies GeV, times ns, angles rad. Generated from the code.\n\n"
    (GENERATED / "fields.md").write_text(intro + field_table_markdown())
    (GENERATED / "configuration.md").write_text(configuration_page())
    (GENERATED / "definitions.md").write_text(definitions_page())


if __name__ == "__main__":
    main()
