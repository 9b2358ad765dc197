"""Strict configuration: pydantic models, YAML with ``--set``, and errors that name the nearest key.

A configuration class derives from :class:`Config`: frozen, unknown keys refused. :func:`build` turns a plain
mapping into one and reports *all* mistakes at once, one clause each, in one line.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from hitloom.errors import ConfigError, nearest


class Config(pydantic.BaseModel):
    """Base of every configuration: immutable, strict about unknown keys, defaults validated."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=True, protected_namespaces=()
    )


ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


def build(config_class: type[ConfigT], values: Mapping[str, Any], *, where: str = "configuration") -> ConfigT:
    """Build ``config_class`` from plain values.

    Raises
    ------
    ConfigError
        One line with every mistake: the key's path, what came, and for an unknown key the nearest valid one.
    """
    try:
        return config_class.model_validate(dict(values))
    except pydantic.ValidationError as error:
        clauses = [_clause(config_class, item) for item in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(clauses)) from None


def _clause(config_class: type[pydantic.BaseModel], item: Mapping[str, Any]) -> str:
    location = [part for part in item["loc"] if isinstance(part, str | int)]
    path = ".".join(str(part) for part in location)
    if item["type"] == "extra_forbidden":
        owner = _model_at(config_class, location[:-1])
        valid = list(owner.model_fields) if owner is not None else []
        return f"unknown key '{path}'.{nearest(str(location[-1]), valid)}"
    if item["type"] == "missing":
        return f"missing key '{path}'"
    message = item["msg"].removeprefix("Value error, ")
    return f"'{path}': {message[0].lower()}{message[1:]} (got {item['input']!r})"


def _model_at(model: type[pydantic.BaseModel], location: Sequence[str | int]) -> type[pydantic.BaseModel] | None:
    """Follow a path of keys to the pydantic model that owns it."""
    current: type[pydantic.BaseModel] | None = model
    for part in location:
        if isinstance(part, int) or current is None:
            continue
        field = current.model_fields.get(part)
        if field is not None:
            current = _model_in(field.annotation)
    return current


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for argument in typing.get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice and reads ``1e-3`` as a number (YAML 1.2)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*([eE][-+]?\d+)?|\.(inf|Inf|INF)|[-+]\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _no_duplicates(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=deep)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key '{key}' written twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=deep)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _no_duplicates)


def parse_yaml(text: str, *, where: str) -> Any:
    """Parse YAML text safely; a syntax error becomes a one-line :class:`ConfigError` with its line number."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}{line}: not valid YAML: {problem}") from None


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping from a file.

    Raises
    ------
    ConfigError
        When the file is missing, is not YAML, or does not hold a mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot read the configuration: {reason}") from None
    values = parse_yaml(text, where=str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a mapping of keys to values was wanted, not {type(values).__name__}")
    return values


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Return the mapping as YAML, keys in their order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of ``values`` with every ``"a.b=value"`` applied; values are read as YAML.

    Raises
    ------
    ConfigError
        When an override has no ``=`` or walks through something that is not a mapping.
    """
    import copy

    result = copy.deepcopy(dict(values))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {override!r}: wanted key=value, for example --set training.max_epochs=10")
        *parents, last = key.strip().split(".")
        target: Any = result
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ConfigError(f"--set {override!r}: '{parent}' is not a mapping")
        target[last] = parse_yaml(text, where=f"--set {override!r}")
    return result
