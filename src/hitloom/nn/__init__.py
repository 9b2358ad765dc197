"""Blocks of networks, with shapes in their docstrings."""

from hitloom.nn.attention import AttentionBlock
from hitloom.nn.attention_edges import AttentionEdgeNetwork
from hitloom.nn.edge_first import EdgeFirstNetwork
from hitloom.nn.edge_mlp import EdgeMLP
from hitloom.nn.gcn_edges import GCNEdgeNetwork
from hitloom.nn.interaction import InteractionNetwork
from hitloom.nn.mlp import ACTIVATIONS, MLP
from hitloom.nn.multistep import MultistepNetwork
from hitloom.nn.pyg_edges import CONVOLUTIONS, PyGEdgeNetwork

__all__ = [
    "ACTIVATIONS",
    "CONVOLUTIONS",
    "MLP",
    "AttentionBlock",
    "AttentionEdgeNetwork",
    "EdgeFirstNetwork",
    "EdgeMLP",
    "GCNEdgeNetwork",
    "InteractionNetwork",
    "MultistepNetwork",
    "PyGEdgeNetwork",
]
