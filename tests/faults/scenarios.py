"""Faults, and what must hold after each. Tests run a few of each; `python -m tests.chaos` runs many."""

from __future__ import annotations

import re

from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, CommandLine
from tests.sweep.studies import write_study


def two_starts_at_once(
    one: CommandLine, other: CommandLine, *, optuna_db: str | None = None, mlflow_db: str | None = None
) -> None:
    """Exactly one of two simultaneous starts drives; the other is refused, and told who does."""
    both = []
    for command_line in (one, other):
        write_study(command_line.folder, trials=2, epochs=20)
        both.append(command_line.begin("start", "tiny.yaml", "--workers", "1"))
    outputs = [process.communicate(timeout=GUARD_SECONDS)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 3], f"{codes}: {outputs}"
    winner, refused = both[codes.index(0)], outputs[codes.index(3)]
    told = rf"the study 'tiny' is being driven by pid {winner.pid} on \S+, since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    assert re.search(told, refused), refused
    check_accounts(one.folder, n_trials=2, optuna_db=optuna_db, mlflow_db=mlflow_db)
