"""Graph pruning: which layer clusters do not belong to their trackster."""

from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.system import Pruning

__all__ = ["Pruning", "PruningConfig"]
