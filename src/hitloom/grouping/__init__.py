"""Scores and embeddings to labels."""

from hitloom.grouping.components import components, connected_components, union_find
from hitloom.grouping.dbscan import DBSCANScan, dbscan
from hitloom.grouping.segmentation import SegmentationConfig, group_edges
from hitloom.grouping.walk import walk

__all__ = [
    "DBSCANScan",
    "SegmentationConfig",
    "components",
    "connected_components",
    "dbscan",
    "group_edges",
    "union_find",
    "walk",
]
