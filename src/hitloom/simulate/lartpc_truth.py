"""Which particle a hit belongs to, as the training of Pandora counts it.

"EM" is an electron, a positron or a photon. Secondary particles are all there.

1. An EM particle belongs to the top of its unbroken chain of EM ancestors, any other one to itself.
2. A hit belongs to the owner with the largest sum of weights; of equal ones to the one with more momentum. A hit
   without weight belongs to nobody (-1).
3. A delta ray (an electron whose parent is a charged particle that is not EM) gives a hit to its parent when the parent
   has weight in the hit itself, or when the delta ray does not cause a shower and starts and ends nearer together
   than the pitch of the view.

A particle causes a shower when a chain of descent that starts at it holds two electrons or positrons (itself counted)
and a further daughter below the second.

With ``keep_compton`` step 1 has an exception for distant diffuse hits: below a photon that causes no shower and has no
electron among its EM ancestors, each EM daughter keeps its own number.

P particles, M hits, A pairs of a hit and a particle.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.simulate.lartpc_deposits import ArgonParticles
from hitloom.simulate.lartpc_hits import WireHits

ELECTRON, PHOTON = 11, 22
_NUCLEI = 1_000_000_000
_CHARGED = (13, 15, 24, 211, 213, 321, 323, 411, 431, 521, 541, 2212, 3112, 3222, 3312, 3334, 4122)


def is_em(pdg: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether particles are electrons, positrons or photons."""
    code = np.abs(pdg)
    return (code == ELECTRON) | (code == PHOTON)


def is_charged(pdg: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether particles carry charge, for those met in argon; nuclei do."""
    code = np.abs(pdg)
    return np.isin(code, (ELECTRON, *_CHARGED)) | ((code >= _NUCLEI) & (code // 10_000 % 1000 > 0))


@njit(cache=True)
def _causes_shower(electron, parent):  # type: ignore[no-untyped-def]
    num = parent.shape[0]
    has_daughter = np.zeros(num, np.bool_)
    one = np.zeros(num, np.bool_)  # a chain from here holds an electron with a daughter
    two = np.zeros(num, np.bool_)
    below = np.zeros(num, np.bool_)  # the same from a daughter
    below_two = np.zeros(num, np.bool_)
    for p in range(num - 1, -1, -1):  # daughters come after their parents
        one[p] = below[p] or (electron[p] and has_daughter[p])
        two[p] = below_two[p] or (electron[p] and below[p])
        above = parent[p]
        if above >= 0:
            has_daughter[above] = True
            below[above] |= one[p]
            below_two[above] |= two[p]
    return two


def causes_shower(particles: ArgonParticles) -> NDArray[np.bool_]:
    """Return (P,) whether each particle causes a shower."""
    return np.asarray(_causes_shower(np.abs(particles.pdg) == ELECTRON, particles.parent), dtype=bool)


@njit(cache=True)
def _owners(em, electron, parent, shower, keep_compton):  # type: ignore[no-untyped-def]
    num = parent.shape[0]
    owner = np.arange(num)
    top = np.arange(num)
    under_electron = np.zeros(num, np.bool_)
    for p in range(num):
        above = parent[p]
        if not em[p] or above < 0 or not em[above]:
            continue
        top[p] = top[above]
        under_electron[p] = under_electron[above] or electron[above]
        if not (keep_compton and not under_electron[p] and not shower[top[p]]):
            owner[p] = owner[above]
    return owner


def particle_owners(particles: ArgonParticles, *, keep_compton: bool = False) -> NDArray[np.int64]:
    """Return (P,) the particle that each one belongs to (step 1)."""
    electron = np.abs(particles.pdg) == ELECTRON
    shower = causes_shower(particles)
    return np.asarray(_owners(is_em(particles.pdg), electron, particles.parent, shower, keep_compton))


def hit_owners(
    hits: WireHits, particles: ArgonParticles, *, pitch: float, keep_compton: bool = False
) -> NDArray[np.int64]:
    """Return the particle of each hit of a view (steps 1 to 3): (M,) int64 rows of ``particles``, -1 = none."""
    owner = np.full(hits.num_hits, -1, np.int64)
    if not len(hits.weight_hit):
        return owner
    owners = particle_owners(particles, keep_compton=keep_compton)
    num = len(particles.pdg)
    pair, place = np.unique(hits.weight_hit * num + owners[hits.weight_particle], return_inverse=True)
    weight = np.bincount(place, hits.weight_energy)
    hit, particle = pair // num, pair % num
    momentum = np.linalg.norm(particles.momentum, axis=1)
    best = np.lexsort((-particle, momentum[particle], weight, hit))
    last = best[np.append(hit[best][1:] != hit[best][:-1], True)]
    last = last[weight[last] > 0]
    owner[hit[last]] = particle[last]

    mother = particles.parent[owner]
    delta = (owner >= 0) & (particles.pdg[owner] == ELECTRON) & (mother >= 0)
    delta &= is_charged(particles.pdg[mother]) & ~is_em(particles.pdg[mother])
    length = np.linalg.norm(particles.end - particles.start, axis=1)
    short = (length < pitch) & ~causes_shower(particles)
    raw = hits.weight_energy > 0
    in_hit = np.isin(
        np.arange(hits.num_hits) * num + np.maximum(mother, 0), hits.weight_hit[raw] * num + hits.weight_particle[raw]
    )
    return np.where(delta & (short[owner] | in_hit), mother, owner)
