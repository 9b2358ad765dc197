"""Linking of tracksters: graph networks that score candidate edges, and their working point."""

from hitloom.systems.linking.config import LinkingConfig
from hitloom.systems.linking.network import LinkNetwork, LinkOutput
from hitloom.systems.linking.system import Linking

__all__ = ["LinkNetwork", "LinkOutput", "Linking", "LinkingConfig"]
