"""Blocks of networks, with shapes in their docstrings."""

from hitloom.nn.attention import AttentionBlock
from hitloom.nn.edge_first import EdgeFirstNetwork
from hitloom.nn.interaction import InteractionNetwork
from hitloom.nn.mlp import ACTIVATIONS, MLP

__all__ = ["ACTIVATIONS", "MLP", "AttentionBlock", "EdgeFirstNetwork", "InteractionNetwork"]
