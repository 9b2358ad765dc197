"""Scores and embeddings to labels."""

from hitloom.grouping.clue import ClueResult, ExponentialKernel, FlatKernel, GaussKernel, clue
from hitloom.grouping.components import components, connected_components, union_find
from hitloom.grouping.dbscan import DBSCANScan, dbscan
from hitloom.grouping.junctions import junction_removal
from hitloom.grouping.paths import all_simple_paths, shortest_paths
from hitloom.grouping.segmentation import SegmentationConfig, group_edges
from hitloom.grouping.segments import segment_score, triplets
from hitloom.grouping.stitching import stitch
from hitloom.grouping.walk import walk

__all__ = [
    "ClueResult",
    "DBSCANScan",
    "ExponentialKernel",
    "FlatKernel",
    "GaussKernel",
    "SegmentationConfig",
    "all_simple_paths",
    "clue",
    "components",
    "connected_components",
    "dbscan",
    "group_edges",
    "junction_removal",
    "segment_score",
    "shortest_paths",
    "stitch",
    "triplets",
    "union_find",
    "walk",
]
