"""Columns of hits: the published presets, their scales and logarithms, what they need of the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.collation import collate_events
from hitloom.data.shower_columns import (
    CARDINALITY,
    PRESETS,
    column,
    column_report,
    hit_columns,
    network_rows,
    preset_columns,
    scaled_columns,
)
from hitloom.data.shower_merge import merge_clusters
from hitloom.errors import DataError
from hitloom.event import Event
from shower_toy import SCALES, toy_view, view_event

WIDTHS = {1: 5, 2: 6, 3: 6, 4: 6, 5: 8, 6: 6, 7: 9, 8: 12, 9: 14, 10: 11}


def three_hits(**changes: list[float]) -> Event:
    """A view U with a cluster of two hits and one of a single hit at the vertex without energy."""
    columns = {
        "x": [3.0, -6.0, 0.0],
        "z": [4.0, 8.0, 0.0],
        "x_width": [0.5, 0.25, 1.0],
        "x_gap": [-7.0, 2.0, 1.5],
        "pitch": [0.4667] * 3,
        "energy": [2.0, 0.5, 0.0],
        "tpc_volume": [0.0, 1.0, 1.0],
        "daughter_volume": [0.0, 0.0, 1.0],
    }
    values = {name: np.array(changes.get(name, column)) for name, column in columns.items()}
    return view_event(values, np.array([0, 0, 1]), np.array([0, 0, -1]), view=4, pdg=[11], volumes=True)


def test_presets_have_the_published_widths_and_order():
    assert {number: len(names) for number, names in PRESETS.items()} == WIDTHS
    assert PRESETS[8][:9] == PRESETS[7]
    assert PRESETS[9][:12] == PRESETS[8]
    assert PRESETS[10] == tuple(name for name in PRESETS[8] if name != "x_gap")
    with pytest.raises(DataError, match=r"unknown preset 11; valid presets: 1, 2"):
        preset_columns(11)


def test_golden_feature_vector_of_the_program_that_runs_the_network():
    """The order and values that Pandora builds, written out by hand: lengths times scales, logarithms of the rest."""
    pr, sx, sz = (SCALES[name] for name in ("polar_r", "cartesian_x", "cartesian_z"))
    log2, floor = math.log(2), math.log(1e-3)
    pitch = 0.4667 * sz
    wanted = [
        [5 * pr, 0.6, 0.8, 3 * sx, 4 * sz, 0.5 * sx, pitch, -7 * sx, log2, 1, 0, 0, 1, 0, log2, log2, 0],
        [10 * pr, -0.6, 0.8, -6 * sx, 8 * sz, 0.25 * sx, pitch, 2 * sx, -log2, 1, 0, 0, 0, 1, log2, log2, 0],
        [0, 0, 0, 0, 0, 1 * sx, pitch, 1.5 * sx, floor, 1, 0, 0, 0, 0, 0, log2, 0],
    ]
    found = scaled_columns(three_hits(), (*PRESETS[9], *CARDINALITY, "tier"), SCALES)
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-6, atol=1e-7)
    again = merge_clusters(three_hits(), torch.tensor([0, 0]))
    torch.testing.assert_close(scaled_columns(again, ("tier",), SCALES), torch.full((3, 1), log2))


def test_counts_of_hits_and_of_clusters_stay_in_their_own_columns_after_a_merge():
    view = toy_view(20, seed=4)
    merged = merge_clusters(view, torch.arange(20) // 5)
    found = hit_columns(merged, CARDINALITY)
    hits_of = torch.tensor([int((merged.part_point_index == row).sum()) for row in merged.part_point_index])
    assert torch.equal(found[:, 0], hits_of.float())
    assert bool((found[:, 1] == 4).all())
    assert bool((found[:, 0] != found[:, 1]).any())


def test_inputs_are_finite_without_energy_and_at_the_vertex():
    view = three_hits(energy=[0.0, 0.0, 0.0], x=[0.0, 0.0, 0.0], z=[0.0, 0.0, 0.0])
    for names in PRESETS.values():
        rows, _ = network_rows(view, (*names, *CARDINALITY, "tier"), SCALES)
        assert bool(torch.isfinite(rows).all())


def test_every_preset_gives_finite_columns_of_its_width():
    view = toy_view(12, seed=1, volumes=True)
    for number, names in PRESETS.items():
        rows, cluster = network_rows(view, names, SCALES)
        extra = 12 if number in (3, 5) else 0
        assert rows.shape == (view.num_parts + extra, WIDTHS[number])
        assert len(cluster) == len(rows)
        assert bool(torch.isfinite(rows).all())


def test_pitch_is_that_of_the_view():
    pitches = {view: float(hit_columns(toy_view(3, view=view), ("pitch",))[0]) for view in (4, 5, 6)}
    assert pitches == pytest.approx({4: 0.4667, 5: 0.4667, 6: 0.479})


@given(st.integers(0, 1000), st.lists(st.integers(1, 12), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_a_batch_gives_what_each_view_alone_gives(seed, sizes):
    views = [toy_view(size, seed + place, view=4 + place % 3, volumes=True) for place, size in enumerate(sizes)]
    for names in ((*PRESETS[9], *CARDINALITY, "tier", "true_id"), ("num_hits", "x", "view_w", "r")):
        alone = torch.cat([scaled_columns(view, names, SCALES) for view in views])
        assert torch.equal(scaled_columns(collate_events(views), names, SCALES), alone)


def test_columns_come_in_the_order_of_their_names():
    view = toy_view(9, seed=2)
    names = ("num_clusters", "energy", "view_w", "x", "num_hits", "cos")
    found = scaled_columns(view, names, SCALES)
    for place, name in enumerate(names):
        assert torch.equal(found[:, [place]], scaled_columns(view, (name,), SCALES))


def test_columns_of_clusters_can_be_replaced_until_they_are_switched_on():
    view = toy_view(9, seed=2)
    drawn = torch.linspace(1, 2, 9)
    found = scaled_columns(view, (*PRESETS[8], *CARDINALITY), SCALES, replaced={"num_hits": drawn})
    assert torch.equal(found[:, 12], drawn.log()[view.part_point_index])
    assert torch.equal(found[:, 13], scaled_columns(view, ("num_clusters",), SCALES)[:, 0])


def test_summary_rows_are_no_hits_have_no_scale_and_are_made_anew_after_a_merge():
    """Flagged rows behind the hits: three counts as logarithms; merging neither copies nor counts them."""
    view = toy_view(10, seed=3)
    merged = merge_clusters(view, torch.arange(10) // 2)
    for event, number in ((view, 10), (merged, 5)):
        rows, cluster = network_rows(event, PRESETS[5], SCALES)
        flagged = rows[:, -1] == 1
        assert int(flagged.sum()) == number == event.num_points
        assert torch.equal(cluster[flagged], torch.arange(number))
        assert torch.equal(rows[flagged, 0], event.x[:, 0].log())
        assert torch.allclose(rows[flagged, 1].exp(), torch.tensor(float(event.num_parts)))
        assert torch.allclose(rows[flagged, 2].exp(), torch.tensor(float(number)))
        assert bool((rows[flagged, 3:-1] == 0).all())
        assert int(event.x[:, 0].sum()) == event.num_parts
    batch = collate_events([view, toy_view(4, seed=9)])
    rows, cluster = network_rows(batch, PRESETS[3], SCALES)
    alone, _ = network_rows(view, PRESETS[3], SCALES)
    assert torch.equal(rows[cluster < 10], alone)


def test_what_the_data_lacks_is_said_with_a_preset_without_it():
    gapless = toy_view(3, gaps=False)
    with pytest.raises(DataError, match=r"toy\[event 6\]: column 'x_gap' .* mend: inputs.preset: preset 10"):
        scaled_columns(gapless, PRESETS[8], SCALES)
    assert scaled_columns(gapless, PRESETS[10], SCALES).shape[1] == 11
    with pytest.raises(DataError, match=r"column 'volume_00' .* mend: inputs.preset: preset 8"):
        scaled_columns(toy_view(3), PRESETS[9], SCALES)
    blind = toy_view(3)
    del blind["part_share_index"]
    with pytest.raises(DataError, match="particles of the hits are wanted, but the data has no truth"):
        hit_columns(blind, PRESETS[2])
    with pytest.raises(DataError, match=r"unknown column of hits 'x_widht'.*x_width"):
        hit_columns(blind, ("x_widht",))
    with pytest.raises(DataError, match="'z' is scaled by 'cartesian_z', but only polar_r is given"):
        scaled_columns(blind, ("z",), {"polar_r": 1.0})
    renamed = toy_view(3)
    renamed.part_feature_names = ["z", "x", *renamed.part_feature_names[2:]]
    with pytest.raises(DataError, match="different columns of hits cannot share a batch"):
        hit_columns(collate_events([toy_view(3), renamed]), ("x",))


def test_scale_and_logarithm_follow_from_the_name():
    report = {row["name"]: (row["scale"], row["log"]) for row in column_report((*PRESETS[9], *CARDINALITY, "tier"))}
    assert {name for name, (_, log) in report.items() if log} == {"energy", "num_hits", "num_clusters", "tier"}
    assert {name for name, (scale, _) in report.items() if scale == "cartesian_x"} == {"x", "x_width", "x_gap"}
    assert {name for name, (scale, _) in report.items() if scale == "cartesian_z"} == {"z", "pitch"}
    assert {name for name, (scale, _) in report.items() if scale == "polar_r"} == {"r"}
    assert column("volume_31").source == "1 in drift volume 3 with daughter volume 1, else 0"
