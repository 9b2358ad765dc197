"""Toy TrackML files, and the thinned real event read once."""

from __future__ import annotations

from pathlib import Path

import data_toy
import pytest

from hitloom.data.trackml_read import read_trackml
from hitloom.data.trackml_write import write_trackml
from hitloom.event import Event


@pytest.fixture
def trackml_folder(tmp_path: Path) -> Path:
    """A folder with the plain CSV files of one toy event (number 7) and its detectors.csv."""
    folder = tmp_path / "toy"
    write_trackml([data_toy.toy_event()], folder, compress=False)
    (folder / "detectors.csv").write_text(data_toy.detectors_text())
    return folder


@pytest.fixture(scope="session")
def thinned(test_data: Path) -> Event:
    """The real event that was thinned to about 5 % of its hits."""
    return next(read_trackml(test_data / "trackml-thinned"))
