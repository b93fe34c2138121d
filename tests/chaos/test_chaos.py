"""A quick part of the chaos table in each run of the tests; `make chaos` runs all of it."""

from __future__ import annotations

import pytest

from tests.chaos.scenarios import kill_at, kill_at_random
from tests.sweep.conftest import CommandLine

QUICK_PART = (
    ("checkpoint.moved", 2),
    ("attempt.outcome_written", 2),
    ("driver.asked", 2),
    ("mirror.written", 3),
    ("recorder.created", 2),
)


@pytest.mark.parametrize(("failpoint", "nth"), QUICK_PART)
def test_killed_at_a_failpoint(cli: CommandLine, failpoint: str, nth: int) -> None:
    outcome = kill_at(cli, failpoint, nth=nth)
    assert outcome.n_driver_deaths + outcome.n_worker_deaths == 1


def test_killed_at_random(cli: CommandLine) -> None:
    outcome = kill_at_random(cli, seed=11, n_kills=4)
    assert outcome.n_driver_deaths + outcome.n_worker_deaths > 0, "the sweep had ended before anything was killed"
