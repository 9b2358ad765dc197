"""Scores and embeddings to labels."""

from hitloom.grouping.components import connected_components, union_find
from hitloom.grouping.dbscan import DBSCANScan, dbscan

__all__ = ["DBSCANScan", "connected_components", "dbscan", "union_find"]
