"""Every rate by name: its counts, its one-line definition and the version of all definitions together.

A rate is a quotient of two sums of counts, so the same table gives pooled values, values per event, binned curves
and bootstrap resamples. A plain "fake rate" or "duplicate rate" does not exist: the name carries the denominator.
A definition that changes gets a new name, a new :data:`DEFINITION_VERSION` and a line in the changelog.

Symbols in the texts: n_c hits of track c, n_p hits of particle p in the universe, n_cp hits shared by both.
Sources: EggNet (arXiv:2407.13925), acorn, gnn_tracking (arXiv:2309.16754), hepattn (arXiv:2411.07149), TrackML
(arXiv:1904.06778); the definitions are written down in ``docs/metrics.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hitloom.errors import ConfigError, nearest

DEFINITION_VERSION = "1"

MATCHES: dict[str, str] = {
    "purity50": "track c matches particle p if 2 n_cp > n_c; several tracks may match one particle",
    "one_way": "track c is matched if 2 n_cp > n_c for some p; particle p is found if 2 n_cp > n_p for some track",
    "double_majority": "track c matches particle p if 2 n_cp > n_c and 2 n_cp > n_p",
    "lhc75": "track c matches particle p if 4 n_cp > 3 n_c",
    "lhc75_inclusive": "track c matches particle p if 4 n_cp >= 3 n_c",
    "perfect": "track c matches particle p if n_cp = n_c = n_p",
}
ONE_TO_ONE = "one_to_one_"
_GREEDY = (
    "each valid track proposes to the particle of its largest overlap (lowest row on ties); a particle takes the "
    "proposal with the largest overlap (then the smaller track, then the smaller label); no second choice; and "
)
MATCHES |= {
    ONE_TO_ONE + name: _GREEDY + MATCHES[name]
    for name in ("purity50", "double_majority", "lhc75", "lhc75_inclusive", "perfect")
}

# Counts that depend on the selection only, then those that depend on the matching as well.
COMMON_COUNTS: dict[str, str] = {
    "num_points": "hits in the universe: sum of n_p over particles plus noise hits",
    "num_assigned_points": "hits with label >= 0",
    "num_target_points": "hits of target particles in the universe",
    "num_assigned_target_points": "hits of target particles with label >= 0",
    "num_other_points": "hits of particles that are not targets",
    "num_assigned_other_points": "hits of particles that are not targets with label >= 0",
    "num_noise_points": "noise hits",
    "num_assigned_noise_points": "noise hits with label >= 0",
    "num_target": "P: target particles",
    "num_tracks": "T: valid tracks (n_c >= min_track_hits)",
    "num_short_tracks": "tracks below min_track_hits, in no rate",
    "num_noise_tracks": "valid tracks whose majority owner is noise",
    "num_selected_tracks": "T_s: valid tracks whose majority owner is a target",
    "num_target_or_noise_tracks": "valid tracks whose majority owner is a target or noise",
    "num_track_side": "valid tracks that pass the cuts by their own fitted pt, eta, phi (no fit given: all)",
    "num_unfitted_tracks": "valid tracks without a fitted pt or eta; they stay in num_track_side",
    "num_identical_tracks": "tracks with a hit set seen before; 0 for a partition",
}
MATCH_COUNTS: dict[str, str] = {
    "num_found": "M: unique target particles with a matching valid track",
    "num_target_pairs": "pairs of a valid track and a target particle that the track finds",
    "num_matched_particles": "unique particles, target or not, with a matching valid track",
    "num_matched_tracks": "T_m: valid tracks matched to any particle",
    "num_matched_target_tracks": "T_t: valid tracks matched to a target particle",
    "num_selected_matched_tracks": "T_sm: valid tracks matched to their majority owner, a target",
    "num_track_side_matched": "tracks of num_track_side matched to any particle",
    "sum_hit_efficiency": "sum of n_cp / n_p over valid tracks matched to a target particle",
    "sum_hit_purity": "sum of n_cp / n_c over valid tracks matched to a target particle",
}

Scope = Literal["match", "one_to_one", "lhc75", "none"]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A quotient of two sums of counts.

    Attributes
    ----------
    numerator, denominator : mapping
        Count name -> coefficient.
    proportion : bool
        Whether the numerator counts a subset of the denominator, so that a binomial interval exists.
    scope : str
        ``match``: one value per matching; ``one_to_one`` and ``lhc75``: with these matchings only; ``none``: one value.
    needs_fit : bool
        Whether the rate exists only where fitted track parameters were given.
    definition : str
        One line.
    """

    numerator: Mapping[str, int]
    denominator: Mapping[str, int]
    proportion: bool
    scope: Scope
    definition: str
    needs_fit: bool = False


def _rate(
    numerator: Mapping[str, int],
    denominator: Mapping[str, int],
    definition: str,
    *,
    proportion: bool = True,
    scope: Scope = "match",
    needs_fit: bool = False,
) -> Rate:
    return Rate(
        numerator=numerator,
        denominator=denominator,
        proportion=proportion,
        scope=scope,
        definition=definition,
        needs_fit=needs_fit,
    )


_UNMATCHED = {"num_tracks": 1, "num_matched_tracks": -1}
_DUPLICATES = {"num_target_pairs": 1, "num_found": -1}

RATES: dict[str, Rate] = {
    "efficiency": _rate(
        {"num_found": 1}, {"num_target": 1}, "target particles with a matching valid track / target particles"
    ),
    "fake_per_track": _rate(
        _UNMATCHED,
        {"num_tracks": 1},
        "valid tracks matched to no particle / all valid tracks, whatever their pt",
    ),
    "fake_per_matched_particle": _rate(
        _UNMATCHED,
        {"num_matched_particles": 1},
        "valid tracks matched to no particle / unique matched particles, target or not; may exceed 1",
        proportion=False,
    ),
    "fake_per_selected_track": _rate(
        {"num_selected_tracks": 1, "num_selected_matched_tracks": -1},
        {"num_selected_tracks": 1},
        "unmatched / all of the valid tracks whose majority owner is a target; flattering: tracks owned by noise or by "
        "other particles leave both counts",
    ),
    "fake_per_target_or_noise_track": _rate(
        {"num_target_or_noise_tracks": 1, "num_selected_matched_tracks": -1},
        {"num_target_or_noise_tracks": 1},
        "unmatched / all of the valid tracks whose majority owner is a target or noise",
    ),
    "fake_per_target_or_unmatched_track": _rate(
        _UNMATCHED,
        {**_UNMATCHED, "num_matched_target_tracks": 1},
        "valid tracks matched to no particle, whatever their pt / (the same + valid tracks matched to a target): an "
        "upper bound of the fakes above a threshold",
    ),
    "fake_per_fitted_track": _rate(
        {"num_track_side": 1, "num_track_side_matched": -1},
        {"num_track_side": 1},
        "unmatched / all of the valid tracks whose own fitted pt, eta, phi pass the kinematic cuts of the target "
        "(tracks without a fit stay)",
        needs_fit=True,
    ),
    "fake_one_to_one": _rate(
        {"num_track_side": 1, "num_track_side_matched": -1, "num_identical_tracks": -1},
        {"num_track_side": 1},
        "tracks neither matched nor identical duplicates / valid tracks that pass the track-side cuts (fitted pt, eta, "
        "phi where given, else all)",
        scope="one_to_one",
    ),
    "duplicate_per_particle": _rate(
        _DUPLICATES,
        {"num_found": 1},
        "(valid tracks that find a target particle - found target particles) / found target particles; may exceed 1",
        proportion=False,
    ),
    "duplicate_per_track": _rate(
        _DUPLICATES,
        {"num_tracks": 1},
        "(valid tracks that find a target particle - found target particles) / valid tracks",
    ),
    "duplicate_identical": _rate(
        {"num_identical_tracks": 1},
        {"num_tracks": 1},
        "tracks with a hit set seen before / valid tracks; 0 by construction where each hit has one label",
        scope="none",
    ),
    "lhc_purity_selected": _rate(
        {"num_selected_matched_tracks": 1},
        {"num_selected_tracks": 1},
        "valid tracks with a target as majority owner and 4 n_cp > 3 n_c / valid tracks with a target as majority "
        "owner; a purity, not an efficiency",
        scope="lhc75",
    ),
    "hit_efficiency": _rate(
        {"sum_hit_efficiency": 1},
        {"num_matched_target_tracks": 1},
        "mean of n_cp / n_p over valid tracks matched to a target particle",
        proportion=False,
    ),
    "hit_purity": _rate(
        {"sum_hit_purity": 1},
        {"num_matched_target_tracks": 1},
        "mean of n_cp / n_c over valid tracks matched to a target particle",
        proportion=False,
    ),
    "assigned_fraction": _rate(
        {"num_assigned_points": 1}, {"num_points": 1}, "hits with label >= 0 / hits of the universe", scope="none"
    ),
    "assigned_fraction.target": _rate(
        {"num_assigned_target_points": 1},
        {"num_target_points": 1},
        "hits of target particles with label >= 0 / hits of target particles",
        scope="none",
    ),
    "assigned_fraction.other": _rate(
        {"num_assigned_other_points": 1},
        {"num_other_points": 1},
        "hits of other particles with label >= 0 / hits of other particles",
        scope="none",
    ),
    "assigned_fraction.noise": _rate(
        {"num_assigned_noise_points": 1},
        {"num_noise_points": 1},
        "noise hits with label >= 0 / noise hits",
        scope="none",
    ),
}


@dataclass(frozen=True, kw_only=True)
class RateKey:
    """One output: its full name, its rate and the matching it reads (empty for rates without matching)."""

    key: str
    rate: str
    match: str


def check_names(kind: str, names: Iterable[str], valid: Mapping[str, object]) -> None:
    """Raise :class:`ConfigError` for the first name that is not in ``valid``."""
    for name in names:
        if name not in valid:
            raise ConfigError(f"unknown {kind} '{name}'.{nearest(name, valid)}")


def rate_keys(rates: Sequence[str], matches: Sequence[str], *, fitted: bool = False) -> list[RateKey]:
    """Return every output of these rates under these matchings, in order, without repetition.

    Raises
    ------
    ConfigError
        When a rate or matching is unknown, or no matching is given.
    """
    check_names("rate", rates, RATES)
    check_names("matching", matches, MATCHES)
    if not matches:
        raise ConfigError("at least one matching is needed, for example matches=('double_majority',)")
    keys: list[RateKey] = []
    for name in rates:
        rate = RATES[name]
        if rate.needs_fit and not fitted:
            continue
        if rate.scope == "none":
            keys.append(RateKey(key=name, rate=name, match=""))
        elif rate.scope == "lhc75":
            keys += [RateKey(key=name, rate=name, match="lhc75")] if "lhc75" in matches else []
        else:
            used = [m for m in matches if rate.scope == "match" or m.startswith(ONE_TO_ONE)]
            keys += [RateKey(key=f"{name}.{match}", rate=name, match=match) for match in used]
    return keys


def _all_definitions() -> dict[str, str]:
    texts = dict(MATCHES) | COMMON_COUNTS | MATCH_COUNTS
    for item in rate_keys(list(RATES), list(MATCHES), fitted=True):
        text = RATES[item.rate].definition
        texts[item.key] = f"{text} [{MATCHES[item.match]}]" if item.key.endswith("." + item.match) else text
    texts["trackml_score"] = (
        "sum of the weights of hits shared by a track and its majority particle over tracks with 2 n_cp > n_c and "
        "2 n_cp > n_p / sum of all weights; no minimum length; mean over events"
    )
    texts["clusterable"] = "target particles with >= min_track_hits hits still present / target particles"
    return texts


DEFINITIONS: dict[str, str] = _all_definitions()
