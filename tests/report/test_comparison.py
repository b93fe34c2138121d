"""Comparisons against SciPy, and against simulated data with known differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sweeper.report.comparison import Difference, Measured, compare_all, paired_difference
from sweeper.report.statistics import Interval, difference_interval, wilson_interval

N_SIMULATIONS = 1000


def measured(values: np.ndarray) -> list[Measured]:
    """One thing a row, one seed a column."""
    return [Measured(values=dict(enumerate(map(float, row)))) for row in values]


def test_test_and_interval_agree_with_scipy() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 5))
    difference = compare_all(measured(np.array([a, b])))[0][1]
    expected = stats.ttest_rel(a, b)
    assert difference.mean == pytest.approx(np.mean(a - b))
    assert difference.n_pairs == 5
    assert difference.p == difference.adjusted_p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert difference.interval is not None
    assert (difference.interval.low, difference.interval.high) == pytest.approx((interval.low, interval.high))


def test_the_other_way_round_is_the_negative() -> None:
    rows = compare_all(measured(np.random.default_rng(1).normal(size=(3, 4))))
    for i in range(3):
        assert rows[i][i] == Difference()
        for j in range(i):
            one, other = rows[i][j].interval, rows[j][i].interval
            assert one is not None
            assert other == Interval(low=-one.high, high=-one.low)
            assert rows[i][j].adjusted_p == rows[j][i].adjusted_p


def holm(ps: list[float]) -> list[float]:
    """Holm (1979) as its definition has it: the largest of the corrected values so far."""
    ranks = np.argsort(ps)
    steps = np.maximum.accumulate([min((len(ps) - k) * ps[i], 1.0) for k, i in enumerate(ranks)])
    return [float(steps[list(ranks).index(i)]) for i in range(len(ps))]


@pytest.mark.parametrize("seed", range(20))
def test_correction_is_holm_s_and_intervals_say_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = compare_all(measured(rng.normal(size=(4, 5)) + np.array([[0.0], [0.5], [2.0], [4.0]])))
    differences = [rows[i][j] for i in range(4) for j in range(i)]
    adjusted = [d.adjusted_p for d in differences]
    assert adjusted == pytest.approx(holm([d.p for d in differences if d.p is not None]))
    for difference in differences:
        assert difference.interval is not None
        assert difference.adjusted_p is not None
        holds_0 = difference.interval.low <= 0.0 <= difference.interval.high
        assert holds_0 == (difference.adjusted_p > 0.05)
        assert (difference.verdict(maximize=True) == "alike") == holds_0


def test_what_is_equal_in_all_pairs_and_what_has_none() -> None:
    rows = compare_all(
        [
            Measured(values={0: 0.5, 1: 0.75}),
            Measured(values={0: 0.5, 1: 0.75}),
            Measured(values={0: 0.25, 1: 0.5}),  # less by the same amount: rounding makes such, certainty does not
            Measured(values={2: 0.5, 3: 0.5}),
        ]
    )
    equal, shifted, apart = rows[1][0], rows[2][0], rows[3][0]
    assert (equal.mean, equal.interval, equal.verdict(maximize=True)) == (0.0, None, "alike")
    assert (shifted.mean, shifted.interval, shifted.verdict(maximize=True)) == (-0.25, None, "unknown")
    assert (apart.mean, apart.n_pairs, apart.verdict(maximize=True)) == (None, 0, "unknown")


def test_verdicts_follow_the_direction() -> None:
    row = compare_all(measured(np.array([[0.9, 0.8, 0.85, 0.88], [0.51, 0.40, 0.44, 0.49]])))[1]
    assert row[0].verdict(maximize=True) == "worse"
    assert row[0].verdict(maximize=False) == "better"


def test_single_trials_are_compared_over_their_pictures() -> None:
    shares = (56 / 70, 48 / 80, 0.7)
    sizes = (70, 80, 100)

    def single(share: float, n: int) -> Measured:
        return Measured(values={0: share}, interval_of=lambda confidence: wilson_interval(share, n, confidence))

    rows = compare_all([single(share, n) for share, n in zip(shares, sizes, strict=True)])
    level = 1.0 - 0.05 / 3  # Bonferroni, three pairs
    a, b = wilson_interval(shares[0], 70, level), wilson_interval(shares[1], 80, level)
    assert rows[0][1].interval == difference_interval(shares[0], a, shares[1], b)
    assert rows[0][1].p is None
    pair = compare_all([single(shares[0], 70), single(shares[1], 80)])[0][1]
    assert pair.interval is not None
    # Newcombe (1998), table II, case (a), method 10.
    assert (pair.interval.low, pair.interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert compare_all([Measured(values={0: 0.5}), Measured(values={0: 0.4})])[0][1].verdict(maximize=True) == "unknown"


# --- simulations ------------------------------------------------------------------------------------------------


def accuracies(rng: np.random.Generator, mean: float, n_seeds: int) -> np.ndarray:
    """Accuracies over 360 pictures of trainings whose skill varies by two points between seeds."""
    skill = np.clip(rng.normal(mean, 0.02, (N_SIMULATIONS, n_seeds)), 0.0, 1.0)
    return rng.binomial(360, skill) / 360


def covered(low: np.ndarray, high: np.ndarray, truth: float) -> float:
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_intervals_of_paired_differences_cover(n_seeds: int) -> None:
    rng = np.random.default_rng(n_seeds)
    a, b = accuracies(rng, 0.90, n_seeds), accuracies(rng, 0.87, n_seeds)
    found = [
        paired_difference(dict(enumerate(x.tolist())), dict(enumerate(y.tolist()))) for x, y in zip(a, b, strict=True)
    ]
    known = [interval for interval in found if interval is not None]
    assert len(known) >= 0.99 * N_SIMULATIONS
    low, high = (np.array([getattr(interval, end) for interval in known]) for end in ("low", "high"))
    assert abs(covered(low, high, 0.03) - 0.95) <= 0.02


@pytest.mark.parametrize(("n_settings", "effect_of_seed"), [(3, 0.02), (3, 0.0)])
def test_pairs_of_one_seed_count_as_one(n_settings: int, effect_of_seed: float) -> None:
    """Five seeds, each with several settings: one mean of the differences is known, over seeds."""
    rng = np.random.default_rng(n_settings)
    n_covered, n_covered_by_pairs = 0, 0
    for _ in range(N_SIMULATIONS):
        differences = 0.03 + rng.normal(0.0, effect_of_seed, (5, 1)) + rng.normal(0.0, 0.02, (5, n_settings))
        a = {(seed, i): float(x) for (seed, i), x in np.ndenumerate(differences)}
        b = dict.fromkeys(a, 0.0)
        by_seed = paired_difference(a, b, unit_of=lambda key: key[0])
        by_pair = paired_difference(a, b)
        assert by_seed is not None
        assert by_pair is not None
        n_covered += by_seed.low <= 0.03 <= by_seed.high
        n_covered_by_pairs += by_pair.low <= 0.03 <= by_pair.high
    assert abs(n_covered / N_SIMULATIONS - 0.95) <= 0.02
    assert effect_of_seed == 0.0 or n_covered_by_pairs / N_SIMULATIONS < 0.90


@pytest.mark.parametrize("n_values", [2, 4])
def test_intervals_of_differences_to_the_best_cover(n_values: int) -> None:
    """Also where chance chose the best, and some values truly differ: each at 95 % or more."""
    rng = np.random.default_rng(n_values)
    truth = np.array([0.90, 0.90, 0.89, 0.85])[:n_values]
    covers = []
    for _ in range(N_SIMULATIONS):
        values = truth[:, None] + rng.normal(scale=0.015, size=(n_values, 5)) + rng.normal(scale=0.02, size=5)
        best = int(values.mean(axis=1).argmax())
        row = [d.interval for d in compare_all(measured(values))[best]]
        covers += [i.low <= truth[best] - truth[k] <= i.high for k, i in enumerate(row) if i is not None]
    assert np.mean(covers) >= 0.95 - 0.02


def test_difference_of_two_single_trainings_covers() -> None:
    """Of independent pictures at the nominal rate; of the same pictures, which both find hard, at more."""
    rng = np.random.default_rng(3)
    of_one = {k: wilson_interval(k / 360, 360) for k in range(361)}

    def coverage(right_a: np.ndarray, right_b: np.ndarray, truth: float) -> float:
        pairs = zip(right_a.sum(axis=1).tolist(), right_b.sum(axis=1).tolist(), strict=True)
        found = [difference_interval(a / 360, of_one[a], b / 360, of_one[b]) for a, b in pairs]
        return float(np.mean([i.low <= truth <= i.high for i in found]))

    shape = (N_SIMULATIONS, 360)
    assert abs(coverage(rng.random(shape) < 0.90, rng.random(shape) < 0.85, 0.05) - 0.95) <= 0.02
    hardness = rng.random(shape)
    assert coverage(hardness < 0.90, hardness + rng.normal(0.0, 0.05, shape) < 0.85, 0.05) >= 0.97


@pytest.mark.parametrize(("method", "at_most"), [("percentile", 0.90), ("BCa", 0.90)])
def test_why_there_is_no_bootstrap_over_five_seeds(method: str, at_most: float) -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0.03, 0.02, (N_SIMULATIONS, 5))
    interval = stats.bootstrap(
        (differences,), np.mean, axis=1, vectorized=True, n_resamples=499, method=method, random_state=1
    ).confidence_interval
    assert covered(interval.low, interval.high, 0.03) < at_most


def test_why_no_test_of_signs_or_ranks_over_five_seeds() -> None:
    differences = [0.21, 0.35, 0.27, 0.31, 0.24]  # one sided, and as clear as can be
    assert stats.wilcoxon(differences).pvalue == pytest.approx(2 / 2**5)
    assert stats.ttest_1samp(differences, 0.0).pvalue < 0.001


@pytest.mark.parametrize(("n_values", "at_least_without"), [(2, 0.0), (4, 0.06), (6, 0.06)])
def test_equal_values_are_told_from_the_best_in_one_of_twenty_studies_at_most(
    n_values: int, at_least_without: float
) -> None:
    rng = np.random.default_rng(n_values)
    wrong, wrong_without = 0, 0
    for _ in range(N_SIMULATIONS):
        values = rng.normal(size=(n_values, 5)) + rng.normal(size=5)
        best = int(values.mean(axis=1).argmax())
        row = [d for i, d in enumerate(compare_all(measured(values))[best]) if i != best]
        wrong += any(d.verdict(maximize=True) != "alike" for d in row)
        # With a correction for the comparisons with the best alone, chance that chose it is left out.
        wrong_without += min(d.p for d in row if d.p is not None) <= 0.05 / len(row)
    assert wrong / N_SIMULATIONS <= 0.05 + 0.02
    assert wrong_without / N_SIMULATIONS >= at_least_without


def test_a_true_difference_is_found() -> None:
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(200):
        values = rng.normal(scale=0.01, size=(3, 5)) + rng.normal(scale=0.03, size=5) + np.array([[0.9], [0.9], [0.8]])
        found += compare_all(measured(values))[2][0].verdict(maximize=True) == "worse"
    assert found >= 0.95 * 200
