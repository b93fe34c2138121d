"""The database written behind: values of short epochs are stored together, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import pytest

from sweeper.search.database import _Storage
from sweeper.search.optimizer import Optimizer

WRITTEN = {1: 0.25, 2: 0.5, 3: 0.75}


def test_values_that_wait_are_stored_in_one_transaction(
    open_study: Callable[..., Optimizer], reopen: Callable[[], Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = open_study()
    database_is_free = threading.Event()
    optimizer.guard(lambda: assert_free(database_is_free))
    calls: list[dict[int, float]] = []
    store = _Storage.set_trial_intermediate_values

    def record(storage: _Storage, trial_id: int, values: Mapping[int, float]) -> None:
        calls.append(dict(values))
        store(storage, trial_id, values)

    monkeypatch.setattr(_Storage, "set_trial_intermediate_values", record)
    number = optimizer.ask().number
    for epoch, value in WRITTEN.items():
        optimizer.report(number, epoch, value)
    database_is_free.set()
    optimizer.tell(number, "COMPLETE", 0.75)
    optimizer.close()
    assert calls == [WRITTEN]
    (trial,) = reopen().trials()
    assert (dict(trial.epochs), trial.value) == (WRITTEN, 0.75)


def assert_free(event: threading.Event) -> None:
    assert event.wait(60)
