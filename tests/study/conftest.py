"""Study files for tests."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pytest
from hypothesis import HealthCheck, settings

from sweeper.errors import StudyFileError
from sweeper.study.load import CheckedStudy, parse_study
from sweeper.sweep.check import CHECKS, STUDY_CHECKS

# Neither timing nor luck decides whether a test passes.
settings.register_profile(
    "sweeper", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sweeper")
optuna.logging.set_verbosity(optuna.logging.WARNING)

PLAIN = """\
name: plain
trial:
  data: {name: digits}
  model: {name: mlp, hidden: [16]}
  training:
    epochs: 3
    batch_size: 32
    optimizer: adam
"""
"""A study without distributions; line 6 has the epochs, 7 the batch size, 8 the optimizer."""


def plain(*replacements: tuple[str, str]) -> str:
    """`PLAIN` with some of its text replaced."""
    text = PLAIN
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the study"
        text = text.replace(old, new)
    return text


def check(text: str, overrides: Sequence[str] = ()) -> CheckedStudy:
    """Read a study as `sweeper check` does."""
    return parse_study(text, source="s.yaml", overrides=overrides, checks=CHECKS, study_checks=STUDY_CHECKS)


def faults(text: str, overrides: Sequence[str] = ()) -> list[str]:
    """The messages about a study with faults."""
    with pytest.raises(StudyFileError) as raised:
        check(text, overrides)
    assert str(raised.value) == "\n".join(map(str, raised.value.faults))
    return [str(fault) for fault in raised.value.faults]
