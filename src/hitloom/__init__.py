"""hitloom: learned reconstruction in particle detectors. Detector hits in, particles out."""

from hitloom._version import __version__

__all__ = ["__version__"]
