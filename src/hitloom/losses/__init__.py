"""Losses: functions that return named parts and weights."""

from hitloom.losses.base import Loss
from hitloom.losses.condensation import condensation_loss, condensation_points
from hitloom.losses.contrastive import PairWeights, contrastive_loss, pair_hinge
from hitloom.losses.pairs import partner_pairs, random_pairs, same_object, seeded_generator
from hitloom.losses.score import score_loss

__all__ = [
    "Loss",
    "PairWeights",
    "condensation_loss",
    "condensation_points",
    "contrastive_loss",
    "pair_hinge",
    "partner_pairs",
    "random_pairs",
    "same_object",
    "score_loss",
    "seeded_generator",
]
