"""Figures of stability: one colour scale for all panels, around 0 for differences, empty cells left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitloom.data.perturb import ErrorBars
from hitloom.metrics.heat_points import HeatMap
from hitloom.report.canvas import to_png
from hitloom.report.stability_figures import NUM_BINS, heat_figure, perturbation_figure, scatter_figure
from hitloom.report.stability_run import perturbed, point_to_show, shifts_of_point
from trackster_toy import toy_trackster_event


def heat_map(scale: float) -> HeatMap:
    values = np.linspace(-1, 1, 12).reshape(3, 4) * scale
    values[0, 0] = np.nan
    return HeatMap(x=np.arange(4.0), y=np.arange(3.0), values=values)


@pytest.mark.parametrize("signed", [False, True])
def test_panels_share_one_scale(signed: bool):
    figure = heat_figure({"a": heat_map(1.0), "b": heat_map(3.0)}, label="v", x="x", y="y", signed=signed)
    meshes = [axes.collections[0] for axes in figure.axes[:2]]
    limits = (-3.0, 3.0) if signed else (0.0, 3.0)
    assert [mesh.get_clim() for mesh in meshes] == [limits, limits]
    assert meshes[0].get_array().mask.reshape(3, 4)[0, 0]
    assert meshes[0].get_array().mask.sum() == 1


def test_maps_without_entries_and_with_nodes():
    empty = HeatMap(x=np.arange(4.0), y=np.arange(3.0), values=np.full((3, 4), np.nan))
    assert "no entries" in [
        text.get_text() for text in heat_figure({"a": empty}, label="v", x="x", y="y").axes[0].texts
    ]
    figure = heat_figure({"a": heat_map(1.0)}, label="v", x="x", y="y", nodes=np.array([[1.0, 1.0], [2.0, 2.0]]))
    assert len(figure.axes[0].collections) == 2
    assert to_png(figure, dpi=40).startswith(b"\x89PNG")


@pytest.mark.parametrize("names", [("x", "y"), ("x", "y", "z")])
def test_scatters_share_one_scale(names: tuple[str, ...]):
    rng = np.random.default_rng(1)
    panels = {name: (rng.normal(size=(20, 3)), rng.uniform(0, high, 20)) for name, high in (("a", 1.0), ("b", 5.0))}
    figure = scatter_figure(panels, label="v", axis_names=names)
    limits = {axes.collections[0].get_clim() for axes in figure.axes[:2]}
    values = np.concatenate([value for _, value in panels.values()])
    assert limits == {(values.min(), values.max())}
    assert all((axes.name == "3d") == (len(names) == 3) for axes in figure.axes[:2])


def test_draws_of_one_point_are_those_of_the_study():
    event = toy_trackster_event(1)
    row = point_to_show(event)
    eta = float(event.columns(["barycenter_eta"])[row, 0])
    assert 1.6 < abs(eta) < 2.8
    shifts = shifts_of_point(event, row, ErrorBars(), 400, seed=3)
    again = shifts_of_point(event, row, ErrorBars(), 5, seed=3)
    np.testing.assert_array_equal(again, shifts[:5])
    sigma = event.columns(["sigmaPCA1", "sigmaPCA2", "sigmaPCA3"])[row].double().numpy() * 10
    assert np.sqrt((shifts**2).sum(axis=1).mean()) == pytest.approx(np.sqrt((sigma**2).sum()), rel=0.15)
    figure = perturbation_figure(shifts, unit="mm")
    assert [axes.name == "3d" for axes in figure.axes] == [True, False, False, False]
    counts = [axes.collections[0].get_array() for axes in figure.axes[1:]]
    assert all(item.size == NUM_BINS**2 and 380 <= item.sum() <= 400 for item in counts)


def test_the_samples_of_an_event_differ_and_keep_it_as_it_was():
    event = toy_trackster_event(2)
    before = event.x.clone()
    first, second = (sample.x for sample in perturbed(event, ErrorBars(), 2, seed=0))
    assert not torch.equal(first, second)
    assert torch.equal(event.x, before)
