"""Named runs of EggNet: the published ones.

Each preset is a mapping in the layout of a recipe (``model``, ``data``, ``training``, ``evaluation``) that holds what
differs from the defaults. GeV throughout.
"""

from __future__ import annotations

import copy
from typing import Any

from hitloom.config import build
from hitloom.errors import ConfigError, nearest
from hitloom.systems.eggnet.config import EggNetConfig

ITK_FEATURES = (
    "r", "phi", "z", "eta",
    "cluster_x_1", "cluster_y_1", "cluster_z_1", "cluster_x_2", "cluster_y_2", "cluster_z_2",
)  # fmt: skip
ITK_SCALES = (1000.0, 3.141592653589793, 1000.0, 1.0, *[1000.0] * 6)

_PT_CUT = {"object_pt": [1.0, float("inf")]}
_TARGETS = {"pt": [1.0, float("inf")], "num_points": [3, float("inf")]}
_TRACKML: dict[str, Any] = {
    "data": {"split": [2000, 400, 200]},
    "training": {"precision": "16"},
    "evaluation": {"targets": _TARGETS},
}
_ITK: dict[str, Any] = {
    "model": {"node_features": ITK_FEATURES, "node_scales": ITK_SCALES},
    "data": {"split": [7785, 1000, 926]},
    "training": {"precision": "16"},
    "evaluation": {"targets": _TARGETS},
}
_WEIGHTED: dict[str, Any] = {"model": {"loss": {"name": "weighted_contrastive"}, "output_node_score": True}}
_CHECKPOINT: dict[str, Any] = {"model": {"checkpoint": True}}


def _merge(*mappings: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            old = result.get(key)
            both = isinstance(old, dict) and isinstance(value, dict) and key not in ("hard_cuts", "targets")
            result[key] = _merge(old, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return result


PRESETS: dict[str, dict[str, Any]] = {
    "paper": _merge(_TRACKML, {"data": {"hard_cuts": _PT_CUT}}),
    "full": _merge(_TRACKML, _CHECKPOINT),
    "weighted": _merge(_TRACKML, _WEIGHTED, _CHECKPOINT, {"training": {"max_epochs": 800}}),
    "hard_filtered": _merge(
        _TRACKML, _WEIGHTED, {"model": {"node_hard_filter": [0.1] * 5}, "data": {"hard_cuts": _PT_CUT}}
    ),
    "soft_filtered": _merge(
        _TRACKML, _WEIGHTED, _CHECKPOINT, {"model": {"node_hard_filter": [0.1], "node_soft_filter": [0.1] * 4}}
    ),
    "itk": _merge(_ITK, {"data": {"hard_cuts": _PT_CUT}}),
    "itk_full": _merge(
        _ITK,
        _CHECKPOINT,
        {
            "model": {"num_iterations": 8},
            "data": {"phi_wedge": {"fraction": 0.1, "max_points": 39000, "max_possible_width": True}},
        },
    ),
}


def preset_run(name: str) -> dict[str, Any]:
    """Return a copy of the preset in the layout of a recipe, ``system`` included.

    Raises
    ------
    ConfigError
        When no preset has this name; the message gives the nearest one.
    """
    if name not in PRESETS:
        raise ConfigError(f"eggnet: unknown preset '{name}'.{nearest(name, PRESETS)}")
    return {"system": "eggnet", **copy.deepcopy(PRESETS[name])}


def preset(name: str) -> EggNetConfig:
    """Return the model configuration of a preset.

    Raises
    ------
    ConfigError
        When no preset has this name.

    Examples
    --------
    >>> preset("itk_full").num_iterations
    8
    """
    return build(EggNetConfig, preset_run(name).get("model", {}), where=f"preset {name}")
