"""EggNet: evolving graphs with attention, end to end from hits to track candidates."""

from hitloom.systems.eggnet.config import EggNetConfig, GroupingConfig, LossConfig, WeightingConfig, WeightRule
from hitloom.systems.eggnet.network import EggNet
from hitloom.systems.eggnet.presets import PRESETS, preset, preset_run
from hitloom.systems.eggnet.reference import from_reference, run_from_reference

__all__ = [
    "PRESETS",
    "EggNet",
    "EggNetConfig",
    "GroupingConfig",
    "LossConfig",
    "WeightRule",
    "WeightingConfig",
    "from_reference",
    "preset",
    "preset_run",
    "run_from_reference",
]
