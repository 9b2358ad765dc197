"""The staged tracking pipeline of Exa.TrkX (arXiv:2103.06995, arXiv:2202.06929)."""

from hitloom.systems.exatrkx.chain import ExaTrkX
from hitloom.systems.exatrkx.classifier import EdgeGNN
from hitloom.systems.exatrkx.embedding import MetricLearning
from hitloom.systems.exatrkx.filter import EdgeFilter
from hitloom.systems.exatrkx.module_map import ModuleMapStage

__all__ = ["EdgeFilter", "EdgeGNN", "ExaTrkX", "MetricLearning", "ModuleMapStage"]
