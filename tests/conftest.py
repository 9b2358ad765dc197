"""Fixtures shared by all tests: where the real data lie, and one thread so that small graphs stay fast."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real events: ``$HITLOOM_TEST_DATA``, else ``../shared/data`` beside the checkout; skips elsewhere."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HITLOOM_TEST_DATA", default))
    if not folder.is_dir():
        if os.environ.get("HITLOOM_REQUIRE_DATA"):
            pytest.fail(f"real data not found at {folder} although HITLOOM_REQUIRE_DATA is set")
        pytest.skip(f"real data not found at {folder}; set HITLOOM_TEST_DATA to the folder that holds them")
    return folder
