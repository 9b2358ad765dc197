"""Partitions against truth: matching, rates, curves, score, loss budget. Pure numpy: no torch, no plots.

Start with :class:`Evaluator` (or :func:`evaluate`), :func:`truth_from_event` and :data:`PRESETS`.
"""

from hitloom.metrics.compare import compare
from hitloom.metrics.confusion import CONFUSION, track_confusion
from hitloom.metrics.counts import Counts, match_event, pool, rate
from hitloom.metrics.curves import DEFAULT_AXES, Axis
from hitloom.metrics.definitions import DEFINITION_VERSION, DEFINITIONS, MATCHES, RATES
from hitloom.metrics.edge_curves import Choice, EdgeScores, cut_for_efficiency
from hitloom.metrics.edge_stages import EdgeStage, EdgeStages
from hitloom.metrics.edges import EDGE_DEFINITIONS, edge_counts, edge_quality, label_edges, truth_edges_of
from hitloom.metrics.evaluator import Evaluator, evaluate
from hitloom.metrics.graph_quality import GRAPH_DEFINITIONS, graph_counts, graph_quality
from hitloom.metrics.intervals import clopper_pearson
from hitloom.metrics.loss_budget import BUDGET_DEFINITIONS, LossBudget, Stage, StageOutcome, stage_outcome
from hitloom.metrics.matching import Contingency, Match, contingency, match_tracks
from hitloom.metrics.particle_id import ParticleIdFields, decode_particle_id, encode_particle_id
from hitloom.metrics.presets import PRESETS, Preset, acorn_preset, get_preset
from hitloom.metrics.radius_scan import RadiusScan, radius_for_efficiency
from hitloom.metrics.scan import WorkingPoint, working_point_scan
from hitloom.metrics.score import Score, trackml_score
from hitloom.metrics.selection import Condition, Selection
from hitloom.metrics.solutions import drop_hits, random_solution, shuffle_hits, truth_labels
from hitloom.metrics.tables import rows_binned, rows_per_event, rows_pooled, rows_timing
from hitloom.metrics.track_kinematics import TrackKinematics, track_kinematics
from hitloom.metrics.truth import EventTruth, truth_from_event
from hitloom.metrics.weights import hit_weights, weight_order, weight_pt

__all__ = [
    "BUDGET_DEFINITIONS",
    "CONFUSION",
    "DEFAULT_AXES",
    "DEFINITIONS",
    "DEFINITION_VERSION",
    "EDGE_DEFINITIONS",
    "GRAPH_DEFINITIONS",
    "MATCHES",
    "PRESETS",
    "RATES",
    "Axis",
    "Choice",
    "Condition",
    "Contingency",
    "Counts",
    "EdgeScores",
    "EdgeStage",
    "EdgeStages",
    "Evaluator",
    "EventTruth",
    "LossBudget",
    "Match",
    "ParticleIdFields",
    "Preset",
    "RadiusScan",
    "Score",
    "Selection",
    "Stage",
    "StageOutcome",
    "TrackKinematics",
    "WorkingPoint",
    "acorn_preset",
    "clopper_pearson",
    "compare",
    "contingency",
    "cut_for_efficiency",
    "decode_particle_id",
    "drop_hits",
    "edge_counts",
    "edge_quality",
    "encode_particle_id",
    "evaluate",
    "get_preset",
    "graph_counts",
    "graph_quality",
    "hit_weights",
    "label_edges",
    "match_event",
    "match_tracks",
    "pool",
    "radius_for_efficiency",
    "random_solution",
    "rate",
    "rows_binned",
    "rows_per_event",
    "rows_pooled",
    "rows_timing",
    "shuffle_hits",
    "stage_outcome",
    "track_confusion",
    "track_kinematics",
    "trackml_score",
    "truth_edges_of",
    "truth_from_event",
    "truth_labels",
    "weight_order",
    "weight_pt",
    "working_point_scan",
]
