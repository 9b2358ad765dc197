"""Intervals against scipy and the contract's values; the bootstrap against its known variance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from hitloom.errors import ConfigError, DataError
from hitloom.metrics import clopper_pearson
from hitloom.metrics.intervals import (
    mean_and_standard_error,
    percentile_interval,
    quotient_samples,
    resampling_weights,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.1674),
        (5, 10, 0.3056, 0.6944),
        (10, 10, 0.8326, 1.0),
        (99, 100, 0.9675, 0.9983),
        (996, 1000, 0.9929, 0.9979),
    ],
)
def test_contract_values(successes, trials, low, high):
    assert [round(float(end), 4) for end in clopper_pearson(successes, trials)] == [low, high]


def test_equals_beta_quantiles_and_covers():
    n = np.arange(0, 40)
    k = np.minimum(n, (n * 0.37).astype(int))
    low, high = clopper_pearson(k, n)
    with np.errstate(invalid="ignore"):
        expected_low = np.where(k == 0, 0.0, beta.ppf(0.16, k, n - k + 1))
        expected_high = np.where(k == n, 1.0, beta.ppf(0.84, k + 1, n - k))
    np.testing.assert_allclose(low[1:], expected_low[1:], rtol=1e-10)
    np.testing.assert_allclose(high[1:], expected_high[1:], rtol=1e-10)
    assert np.isnan([low[0], high[0]]).all()
    # Coverage of a Clopper-Pearson interval is never below its level.
    every = np.arange(31)
    low, high = clopper_pearson(every, 30)
    for p in (0.03, 0.4, 0.9, 0.999):
        assert binom.pmf(every, 30, p)[(low <= p) & (p <= high)].sum() >= 0.68


def test_not_a_proportion_is_refused():
    with pytest.raises(DataError, match="is the rate a proportion"):
        clopper_pearson(3, 2)


def test_bootstrap_reproduces_the_standard_error_of_a_mean():
    rng = np.random.default_rng(0)
    values = rng.normal(5.0, 2.0, 400)
    weights = resampling_weights(400, num_resamples=4000, seed=2)
    assert weights.shape == (4000, 400)
    assert (weights.sum(1) == 400).all()
    samples = quotient_samples(values, np.ones(400), weights)
    assert samples.std() == pytest.approx(values.std() / 20, rel=0.05)
    low, high = percentile_interval(samples)
    assert (high - low) / 2 == pytest.approx(0.9945 * values.std() / 20, rel=0.06)
    np.testing.assert_array_equal(weights, resampling_weights(400, num_resamples=4000, seed=2))
    with pytest.raises(ConfigError):
        resampling_weights(0, num_resamples=10, seed=1)


def test_undefined_values_are_left_out_not_zero():
    samples = quotient_samples([1.0, 2.0], [0.0, 4.0], np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    np.testing.assert_allclose(samples, [np.nan, 0.75, 0.5])
    assert percentile_interval(samples)[0] >= 0.5
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()
    mean, error, number = mean_and_standard_error([np.nan, 1.0, 3.0])
    assert (mean, number) == (2.0, 2)
    assert error == pytest.approx(np.sqrt(2) / np.sqrt(2))
    assert np.isnan(mean_and_standard_error([4.0])[1])
