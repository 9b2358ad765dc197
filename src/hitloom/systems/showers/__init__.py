"""Shower growing in LArTPC detectors: which 2D clusters of a wire view are of one particle."""

from hitloom.systems.showers.config import ShowersConfig
from hitloom.systems.showers.system import Showers

__all__ = ["Showers", "ShowersConfig"]
