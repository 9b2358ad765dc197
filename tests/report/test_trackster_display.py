"""The display of tracksters: what is coloured how, what is left out, and that it works offline."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest
import torch

from hitloom.errors import DataError
from hitloom.report.tracksters.display import trackster_figure, trackster_page
from hitloom.report.tracksters.view import MODES, limited, trackster_view
from hitloom.result import Result
from trackster_toy import toy_trackster_event


@pytest.fixture(scope="module")
def event():
    return toy_trackster_event(3, num_particles=8, num_pileup=4)


def labelled(event, labels):
    return Result(event_id=int(event.event_id), point_id=torch.arange(event.num_points), labels=labels)


def by_truth(event):
    """Return the labels of a perfect linking: unmatched tracksters alone."""
    alone = torch.arange(event.num_points) + event.num_objects
    return torch.where(event.object_index >= 0, event.object_index, alone)


def test_every_layer_cluster_is_of_the_trackster_and_object_with_its_largest_share(event):
    view = trackster_view(event, labelled(event, by_truth(event)))
    for mode, index, fraction in (
        ("before", event.member_index, event.member_fraction),
        ("truth", event.part_share_index, event.part_share_fraction),
    ):
        for row in range(event.num_parts):
            here = index[0] == row
            if not here.any():
                assert view.owner(mode)[row] == -1
                continue
            largest = fraction[here].max()
            assert fraction[here & (index[1] == int(view.owner(mode)[row]))] == largest


def test_candidates_are_the_labels_and_their_energies_add_up(event):
    labels = by_truth(event)
    view = trackster_view(event, labelled(event, labels))
    assert view.candidate_energy.sum() == pytest.approx(float(event.energy.double().sum()))
    for candidate in np.unique(view.after[view.after >= 0]):
        tracksters = np.unique(view.before[view.after == candidate])
        assert len(torch.unique(labels[torch.as_tensor(tracksters)])) == 1


def test_pieces_of_one_object_differ_in_colour_and_a_perfect_linking_looks_like_the_truth(event):
    apart = trackster_view(event, labelled(event, torch.arange(event.num_points)))
    assert len(set(apart.colour["before"].tolist())) == event.num_points
    assert len(set(apart.colour["truth"].tolist())) == event.num_objects
    perfect = trackster_view(event, labelled(event, by_truth(event)))
    # The candidate of an object that no other part competes for has the object's colour on every point of its own.
    sure = (perfect.after >= 0) & (perfect.truth >= 0)
    after, truth = perfect.colour["after"][perfect.after[sure]], perfect.colour["truth"][perfect.truth[sure]]
    assert (after == truth).mean() > 0.7
    split = (apart.colour["after"][apart.after[sure]] == truth).mean()
    assert split < 0.7


def test_links_join_tracksters_of_one_candidate_only(event):
    none = trackster_view(event, labelled(event, torch.arange(event.num_points)))
    assert none.links.shape == (2, 0)
    every = trackster_view(event, labelled(event, torch.zeros(event.num_points, dtype=torch.int64)))
    assert every.links.shape[1] == event.edge_index.shape[1]


def test_a_large_event_keeps_most_energy_and_says_so(event):
    view = limited(trackster_view(event, labelled(event, by_truth(event))), 40)
    assert len(view.energy) == 40
    assert view.energy.min() >= np.sort(event.part_energy.numpy())[-41]
    assert "40 of" in view.notes[0]


def test_the_figure_has_each_point_once_a_picture(event):
    figure = trackster_figure(trackster_view(event, labelled(event, by_truth(event))))
    for mode in MODES:
        points = [trace for trace in figure.data if trace.meta["mode"] == mode and trace.mode == "markers"]
        assert sum(len(trace.x) for trace in points) == event.num_parts
        assert all((np.sign(trace.x) == trace.meta["side"]).all() for trace in points)


def test_the_page_loads_nothing(event):
    page = trackster_page(trackster_view(event, labelled(event, by_truth(event))))
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', own)
    assert "default-src 'none'" in html.unescape(page)


def test_an_event_without_layer_clusters_shows_its_tracksters(event):
    bare = event.clone()
    for name in [name for name in bare.to_dict() if name.startswith(("part_", "member_"))]:
        del bare[name]
    view = trackster_view(bare, labelled(bare, by_truth(event)))
    assert len(view.energy) == event.num_points
    assert trackster_figure(view).data


def test_no_trackster_at_all():
    empty = toy_trackster_event(1, num_particles=0)
    view = trackster_view(empty, labelled(empty, torch.zeros(0, dtype=torch.int64)))
    assert "0 layer clusters" in trackster_page(view)


def test_events_without_truth_are_refused(event):
    blind = event.clone()
    del blind["object_index"]
    with pytest.raises(DataError, match="'object_index' is needed"):
        trackster_view(blind, labelled(event, by_truth(event)))
