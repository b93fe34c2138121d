"""Fixtures of the report's tests."""

from __future__ import annotations

import pytest

from sweeper.tracking.records import StudyRecord

from .synthetic import MemoryReader, synthetic


@pytest.fixture(scope="session")
def sweep() -> tuple[StudyRecord, MemoryReader]:
    """40 trials of 20 epochs on 10 classes. Not to be changed."""
    return synthetic()
