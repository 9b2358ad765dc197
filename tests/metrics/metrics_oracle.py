"""A slow matcher written from the definitions: loops over hits and tracks, fractions, no numpy."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction


def shared_hits(labels, particle_ids):
    """Return label -> Counter of particle ids (0 = noise), unassigned hits left out."""
    tracks = {}
    for label, particle in zip(labels, particle_ids, strict=True):
        if label >= 0:
            tracks.setdefault(label, Counter())[particle] += 1
    return tracks


def majority_owner(content):
    """Largest count, ties to the smallest id (noise, 0, first)."""
    return min(content, key=lambda particle: (-content[particle], particle))


def fits(style, shared, track_size, particle_size):
    purity, share = Fraction(shared, track_size), Fraction(shared, particle_size)
    return {
        "purity50": purity > Fraction(1, 2),
        "one_way": purity > Fraction(1, 2),
        "double_majority": purity > Fraction(1, 2) and share > Fraction(1, 2),
        "lhc75": purity > Fraction(3, 4),
        "lhc75_inclusive": purity >= Fraction(3, 4),
        "perfect": purity == 1 and share == 1,
    }[style]


def count(labels, particle_ids, targets, match, *, min_track_hits=3, sizes=None, rows=None):
    """Return all counts of one event as hitloom names them.

    ``sizes``: particle -> n_p (default: counted). ``rows``: particle -> row of the table (for one-to-one ties).
    """
    counted = Counter(p for p in particle_ids if p != 0)
    sizes = dict(counted) if sizes is None else sizes
    tracks = shared_hits(labels, particle_ids)
    valid = {c: content for c, content in tracks.items() if sum(content.values()) >= min_track_hits}
    size = {c: sum(content.values()) for c, content in tracks.items()}
    style = match.removeprefix("one_to_one_")
    matched = {}
    if match.startswith("one_to_one_"):
        proposals = []
        for c, content in valid.items():
            real = {p: n for p, n in content.items() if p != 0}
            if real:
                p = min(real, key=lambda q: (-real[q], rows[q]))
                proposals.append((-real[p], size[c], c, p))
        taken = set()
        for negative, _, c, p in sorted(proposals):
            if p in taken:
                continue
            taken.add(p)
            if fits(style, -negative, size[c], sizes[p]):
                matched[c] = p
    else:
        for c, content in valid.items():
            for p, shared in content.items():
                if p != 0 and fits(style, shared, size[c], sizes[p]):
                    assert c not in matched
                    matched[c] = p
    finders = Counter(matched.values())
    if match == "one_way":
        finders = Counter(
            p for content in valid.values() for p, shared in content.items() if p != 0 and 2 * shared > sizes[p]
        )
    owner = {c: majority_owner(content) for c, content in valid.items()}
    selected = [c for c in valid if owner[c] in targets]
    to_target = [c for c, p in matched.items() if p in targets]
    assigned = [p for label, p in zip(labels, particle_ids, strict=True) if label >= 0]
    return {
        "num_points": sum(sizes.values()) + sum(p == 0 for p in particle_ids),
        "num_assigned_points": len(assigned),
        "num_target_points": sum(sizes.get(p, 0) for p in targets),
        "num_assigned_target_points": sum(p in targets for p in assigned),
        "num_other_points": sum(n for p, n in sizes.items() if p not in targets),
        "num_assigned_other_points": sum(p != 0 and p not in targets for p in assigned),
        "num_noise_points": sum(p == 0 for p in particle_ids),
        "num_assigned_noise_points": sum(p == 0 for p in assigned),
        "num_target": len(targets),
        "num_tracks": len(valid),
        "num_short_tracks": len(tracks) - len(valid),
        "num_noise_tracks": sum(owner[c] == 0 for c in valid),
        "num_selected_tracks": len(selected),
        "num_target_or_noise_tracks": sum(owner[c] == 0 or owner[c] in targets for c in valid),
        "num_track_side": len(valid),
        "num_unfitted_tracks": 0,
        "num_identical_tracks": len(valid) - len({frozenset(hit_set) for hit_set in _hit_sets(labels, valid)}),
        "num_found": sum(p in finders for p in targets),
        "num_target_pairs": sum(n for p, n in finders.items() if p in targets),
        "num_matched_particles": len(finders),
        "num_matched_tracks": len(matched),
        "num_matched_target_tracks": len(to_target),
        "num_selected_matched_tracks": sum(matched.get(c) == owner[c] for c in selected),
        "num_track_side_matched": len(matched),
        "sum_hit_efficiency": float(sum(Fraction(valid[c][matched[c]], sizes[matched[c]]) for c in to_target)),
        "sum_hit_purity": float(sum(Fraction(valid[c][matched[c]], size[c]) for c in to_target)),
    }


def _hit_sets(labels, valid):
    return [[i for i, label in enumerate(labels) if label == c] for c in valid]


def score(labels, particle_ids, weights):
    """TrackML score hit by hit, as the published rules read."""
    tracks = shared_hits(labels, particle_ids)
    sizes = Counter(particle_ids)
    earned = 0.0
    for label, content in tracks.items():
        particle = majority_owner(content)
        shared, track_size = content[particle], sum(content.values())
        if Fraction(shared, track_size) > Fraction(1, 2) and Fraction(shared, sizes[particle]) > Fraction(1, 2):
            earned += sum(
                weight
                for this, p, weight in zip(labels, particle_ids, weights, strict=True)
                if this == label and p == particle
            )
    return earned / sum(weights)


def worked_example():
    """Return labels, particle ids and the target ids of the evaluation contract's example: 40 hits, A..F = 1..6."""
    a, b, c, d, e, f, noise = 1, 2, 3, 4, 5, 6, 0
    groups = [
        (0, a, 10),
        (1, b, 5),
        (1, noise, 1),
        (2, c, 2),
        (2, e, 2),
        (3, d, 3),
        (4, d, 3),
        (5, noise, 3),
        (5, e, 1),
        (6, f, 4),
        (-1, b, 3),
        (-1, c, 2),
        (-1, noise, 1),
    ]
    labels, particles = [], []
    for label, particle, number in groups:
        labels += [label] * number
        particles += [particle] * number
    return labels, particles, {a, b, c, d}
