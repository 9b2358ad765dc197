"""The result of an evaluation as a few lines for the terminal, definitions beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.report.numbers import seconds
from hitloom.report.report_tables import cell, names_of

_SHOWN = (
    ("headline", "pt>1.0", "efficiency.double_majority"),
    ("headline", "pt>1.0", "fake_per_track.double_majority"),
    ("headline", "pt>1.0", "fake_per_fitted_track.double_majority"),
    ("hitloom", "pt>1.0", "duplicate_per_particle.purity50"),
    ("eggnet", "pt>=1.0", "efficiency.purity50"),
    ("eggnet", "pt>=1.0", "fake_per_matched_particle.purity50"),
    ("eggnet", "pt>=1.0", "duplicate_per_particle.purity50"),
    ("own", "targets", "efficiency.double_majority"),
    ("own", "targets", "efficiency.purity50"),
)


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the lines that ``hitloom eval`` prints."""
    sample = metrics["headline"]["sample"]
    lines = [
        f"{sample['num_events']} events, {sample['num_hits']:,} hits; {sample['hit_selection']}"
        + ("; truth-selected input" if sample["truth_selected_input"] else ""),
    ]
    members = [metrics, *metrics["baselines"].values()]
    names = names_of(metrics)
    place = None
    for preset, target, key in _SHOWN:
        entry = metrics["presets"].get(preset, {}).get(target, {}).get(key)
        if entry is None:
            continue
        if (preset, target) != place:
            place = (preset, target)
            lines += ["", f"{preset}: {metrics['choices']['presets'][preset]['targets'][target]['text']}"]
        lines += [f"  {key}", f"      {entry['definition'].split(' [')[0]}"]
        for name, item in zip(names, members, strict=True):
            shown = cell(item["presets"].get(preset, {}).get(target, {}).get(key))
            interval = f"  [{shown['interval']}, {shown['kind']}]" if shown["interval"] else ""
            lines.append(f"      {name}: {shown['value']}  ({shown['counts']}){interval}")
    lines.append("")
    score = metrics["trackml_score"]
    if score is not None and score["value"] is not None:
        lines += [f"trackml_score: {score['value']:.4f}", f"      {score['definition']}"]
    if metrics["timing"] is not None:
        total = metrics["timing"]["stages"]["total"]
        lines.append(
            f"time per event: mean {seconds(total['mean'])}, median {seconds(total['median'])} "
            f"({metrics['timing']['hardware'] or 'hardware not recorded'})"
        )
    scan = metrics["scan"]
    if scan is not None and scan["best"] is not None:
        best = scan["best"]
        lines.append(
            f"best working point: eps {best['eps']:g}, min_samples {best['min_samples']} ({scan['objective']})"
        )
    lines += [f"note: {text}" for text in dict.fromkeys(metrics["diagnostics"])]
    return lines
