"""The tiny system is registered for these tests and taken away after them."""

from __future__ import annotations

import pytest

from hitloom.registry import SYSTEMS


@pytest.fixture(autouse=True)
def _tiny_system_registered():
    SYSTEMS["tiny"] = "tiny_system:Tiny"
    yield
    SYSTEMS.pop("tiny", None)
