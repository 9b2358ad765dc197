"""Intervals: Clopper-Pearson for proportions, bootstrap over events for everything else and for comparisons.

A Clopper-Pearson interval takes tracks as independent; tracks of one event are not. The bootstrap resamples whole
events, so it is the honest one where there are enough of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.truth import FloatArray

LEVEL = 0.68


def clopper_pearson(successes: ArrayLike, trials: ArrayLike, *, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the central Clopper-Pearson interval (Biometrika 26 (1934) 404), shapes as the input.

    ``lo`` = BetaInv(alpha/2; k, n-k+1), 0 for k = 0; ``hi`` = BetaInv(1-alpha/2; k+1, n-k), 1 for k = n; NaN for
    n = 0; alpha = 1 - level.

    Raises
    ------
    DataError
        When k is not within 0..n.

    Examples
    --------
    >>> [round(float(end), 4) for end in clopper_pearson(5, 10)]
    [0.3056, 0.6944]
    """
    from scipy.special import betaincinv  # loaded on demand: half a second of import time

    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    if (k < 0).any() or (k > n).any():
        raise DataError("clopper_pearson: successes within 0 .. trials were wanted; is the rate a proportion?")
    alpha = 1.0 - level
    low, high = np.full(k.shape, np.nan), np.full(k.shape, np.nan)
    some = n > 0
    low[some] = np.where(k[some] == 0, 0.0, betaincinv(np.maximum(k[some], 1), n[some] - k[some] + 1, alpha / 2))
    high[some] = np.where(
        k[some] == n[some], 1.0, betaincinv(k[some] + 1, np.maximum(n[some] - k[some], 1), 1 - alpha / 2)
    )
    return low, high


def resampling_weights(num_events: int, *, num_resamples: int, seed: int) -> NDArray[np.float64]:
    """Return (R, B): how often each event is drawn in each resample of B events with replacement.

    Raises
    ------
    ConfigError
        When there are no events or no resamples.
    """
    if num_events < 1 or num_resamples < 1:
        raise ConfigError("bootstrap: at least one event and one resample were wanted")
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(num_events, np.full(num_events, 1.0 / num_events), size=num_resamples)
    return draws.astype(np.float64)


def quotient_samples(numerator: ArrayLike, denominator: ArrayLike, weights: NDArray[np.float64]) -> FloatArray:
    """Return (R,) pooled quotients of the resamples; NaN where a resample has no denominator.

    Parameters
    ----------
    numerator, denominator : (B,)
        Per event.
    weights : (R, B)
        From :func:`resampling_weights`.
    """
    top = weights @ np.asarray(numerator, dtype=np.float64)
    bottom = weights @ np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)


def percentile_interval(samples: FloatArray, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the central interval of the finite samples; NaN where there are none."""
    finite = samples[np.isfinite(samples)]
    if finite.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_and_standard_error(values: ArrayLike) -> tuple[float, float, int]:
    """Return mean, std / sqrt(n) and n of the values that are numbers; NaN where undefined (n < 1, n < 2)."""
    array = np.asarray(values, dtype=np.float64)
    finite = array[np.isfinite(array)]
    mean = float(finite.mean()) if finite.size else float("nan")
    error = float(finite.std(ddof=1) / np.sqrt(finite.size)) if finite.size > 1 else float("nan")
    return mean, error, int(finite.size)
