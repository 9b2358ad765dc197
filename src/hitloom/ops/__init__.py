"""Pure functions on tensors: neighbours, radius graphs, segments, geometry."""

from hitloom.ops.geometry import cylindrical, delta_phi, wrap_phi
from hitloom.ops.neighbours import KNN_METHODS, NeighbourTable, knn
from hitloom.ops.radius import RADIUS_METHODS, RadiusGraph, radius_graph
from hitloom.ops.segments import segment_count, segment_max, segment_mean, segment_softmax, segment_sum

__all__ = [
    "KNN_METHODS",
    "RADIUS_METHODS",
    "NeighbourTable",
    "RadiusGraph",
    "cylindrical",
    "delta_phi",
    "knn",
    "radius_graph",
    "segment_count",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "wrap_phi",
]
