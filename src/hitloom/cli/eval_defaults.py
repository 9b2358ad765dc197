"""What ``hitloom eval`` and ``display`` take from the results themselves: the split and the recorded settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def chosen_split(results: Path, split: str | None) -> str:
    """Return ``split``, or where none is named the one to evaluate: test, else val, else any but train.

    Raises
    ------
    DataError
        When the folder holds no results.
    """
    from hitloom.data.results import open_results

    return split or choose_split(open_results(results).splits)


def choose_split(splits: Sequence[str]) -> str:
    """Return the split to evaluate when none is named: held-out events before those of the training."""
    for name in ("test", "val"):
        if name in splits:
            return name
    return ([name for name in splits if name != "train"] or list(splits))[0]


def recorded_settings(results: Path, split: str) -> dict[str, Any]:
    """Return the settings of the evaluation that the inference recorded with the results."""
    from hitloom.data.results import open_results

    return settings_of(open_results(results, split).meta)


def settings_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return targets and grids of the recipe, and how the input was selected, as settings of the evaluation."""
    from hitloom.config import parse_yaml

    values: dict[str, Any] = {}
    if meta.get("evaluation"):
        values |= parse_yaml(str(meta["evaluation"]), where="evaluation recorded with the results") or {}
    if meta.get("truth_selected_input"):
        values["truth_selected_input"] = True
    if meta.get("hard_cuts") not in (None, "", "{}"):
        values["hit_selection"] = f"hits that pass {' and '.join(str(meta['hard_cuts']).splitlines())}"
    return values
