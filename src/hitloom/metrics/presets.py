"""Published conventions by name: the same predictions, counted the way each group counts.

What a preset reproduces is the convention (universe, target, matching, rates), not the group's code: its defects,
above all noise that counts as matched, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hitloom.errors import ConfigError, nearest
from hitloom.metrics.definitions import RATES, rate_keys
from hitloom.metrics.selection import Condition, Selection


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A convention.

    Attributes
    ----------
    name : str
    selections : mapping
        Key of the target (``"pt>1.0"``) -> :class:`Selection`.
    matches, rates : tuple of str
    source : str
        Who counts so.
    """

    name: str
    selections: Mapping[str, Selection]
    matches: tuple[str, ...]
    rates: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        rate_keys(self.rates, self.matches)
        if not self.selections:
            raise ConfigError(f"preset '{self.name}': at least one selection was wanted")

    def describe(self) -> dict[str, Any]:
        """Return the four choices (hit universe, particles, matching, rates) as plain values."""
        return {
            "targets": {key: selection.describe() for key, selection in self.selections.items()},
            "matches": list(self.matches),
            "rates": list(self.rates),
            "source": self.source,
        }


def acorn_preset(
    style: str,
    *,
    min_pt: float = 1.0,
    min_track_length: int = 3,
    min_particle_length: int = 3,
    conditions: Sequence[Condition] = (),
) -> Preset:
    """Return the acorn convention in one of its styles (``atlas``, ``one_way``, ``two_way``).

    Ranges are inclusive; particles are known from truth edges only, so single-hit particles count as noise.

    Raises
    ------
    ConfigError
        When the style is unknown.
    """
    styles = {"atlas": "purity50", "one_way": "one_way", "two_way": "double_majority"}
    if style not in styles:
        raise ConfigError(f"unknown acorn style '{style}'.{nearest(style, styles)}")
    selection = Selection(
        min_pt=min_pt,
        pt_inclusive=True,
        min_particle_hits=min_particle_length,
        min_track_hits=min_track_length,
        universe="input",
        particles_from="truth_edges",
        conditions=tuple(conditions),
    )
    return Preset(
        name=f"acorn_{style}",
        selections={f"pt>={min_pt}": selection},
        matches=(styles[style],),
        rates=("efficiency", "fake_per_track", "duplicate_per_particle"),
        source="GNN4ITkTeam/CommonFramework",
    )


_GNN_TRACKING = {
    f"pt>={pt}": Selection(
        min_pt=pt, pt_inclusive=True, max_abs_eta=4.0, universe="input", require_reconstructable=True
    )
    for pt in (0.0, 0.5, 0.9, 1.5)
}
_HEPATTN = {f"pt>{pt}": Selection(min_pt=pt, max_abs_eta=2.5, universe="input") for pt in (1.0, 0.9)}
_HITLOOM = {f"pt>{pt}": Selection(min_pt=pt, max_abs_eta=4.0) for pt in (0.5, 0.9, 1.0)}
_FOUR = ("purity50", "double_majority", "lhc75", "perfect")
_ALL_RATES = tuple(name for name, rate in RATES.items() if rate.scope != "one_to_one")

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="hitloom",
            selections=_HITLOOM,
            matches=_FOUR,
            rates=_ALL_RATES,
            source="hitloom: all rates, nothing cut from the event before counting",
        ),
        Preset(
            name="headline",
            selections={"pt>1.0": Selection(min_pt=1.0, max_abs_eta=2.5)},
            matches=("double_majority",),
            rates=_ALL_RATES,
            source="hitloom: as above for pt > 1 GeV, |eta| < 2.5, double majority",
        ),
        Preset(
            name="eggnet",
            selections={"pt>=1.0": Selection(min_pt=1.0, pt_inclusive=True, min_track_hits=1, universe="input")},
            matches=("purity50",),
            rates=("efficiency", "fake_per_matched_particle", "duplicate_per_particle"),
            source="exatrkx/EggNet (arXiv:2407.13925)",
        ),
        acorn_preset("atlas"),
        acorn_preset("one_way"),
        acorn_preset("two_way"),
        Preset(
            name="gnn_tracking",
            selections=_GNN_TRACKING,
            matches=("double_majority", "perfect", "lhc75"),
            rates=("efficiency", "fake_per_selected_track", "lhc_purity_selected"),
            source="gnn-tracking/gnn_tracking (arXiv:2312.03823)",
        ),
        Preset(
            name="hepattn",
            selections=_HEPATTN,
            matches=("one_to_one_double_majority", "one_to_one_perfect", "one_to_one_lhc75"),
            rates=("efficiency", "fake_one_to_one", "duplicate_identical"),
            source="samvanstroud/hepattn (arXiv:2411.07149)",
        ),
    )
}


def get_preset(preset: str | Preset) -> Preset:
    """Return a preset by name; a :class:`Preset` passes through.

    Raises
    ------
    ConfigError
        When no preset has this name.
    """
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset '{preset}'.{nearest(preset, PRESETS)}")
    return PRESETS[preset]
