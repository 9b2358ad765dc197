"""EggNet: evolving graphs with attention, end to end from hits to track candidates."""

from hitloom.systems.eggnet.config import EggNetConfig, GroupingConfig, LossConfig, WeightingConfig, WeightRule
from hitloom.systems.eggnet.network import EggNet

__all__ = ["EggNet", "EggNetConfig", "GroupingConfig", "LossConfig", "WeightRule", "WeightingConfig"]
