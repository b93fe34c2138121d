"""Small studies in a database of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.search.optimizer import Optimizer, Proposal
from sweeper.search.storage import StudyStore
from sweeper.study.study import Study

TRIAL: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": {"choice": ["logistic", {"name": "mlp", "hidden": [{"int": [8, 16]}]}]},
    "training": {
        "epochs": 9,
        "batch_size": {"choice": [16, 32, 64]},
        "optimizer": {"name": "adam", "lr": {"float": [1e-4, 1e-1], "log": True}},
    },
}


def make_study(**fields: Any) -> Study:
    """A study of `TRIAL`, with other fields."""
    return Study.model_validate({"name": "small", "trial": TRIAL} | fields)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def reopen(url: str) -> Callable[[], Optimizer]:
    """Open the stored study as a new process would: with a connection and a memory of its own."""
    return lambda: Optimizer(StudyStore(url), "small")


@pytest.fixture
def open_study(url: str) -> Callable[..., Optimizer]:
    """Store a study and open it."""

    def create(**fields: Any) -> Optimizer:
        study = make_study(**fields)
        store = StudyStore(url)
        store.create(study, n_trials=study.n_trials)
        return Optimizer(store, study.name)

    return create


def drain(optimizer: Optimizer, value: Callable[[Proposal, int], float], *, epochs: int = 9) -> list[Proposal]:
    """Train every trial: `value` by proposal and epoch."""
    proposals = []
    while not optimizer.exhausted:
        proposal = optimizer.ask()
        proposals.append(proposal)
        for epoch in range(1, epochs + 1):
            if optimizer.report(proposal.number, epoch, value(proposal, epoch)):
                optimizer.tell(proposal.number, "PRUNED")
                break
        else:
            optimizer.tell(proposal.number, "COMPLETE", value(proposal, epochs))
    return proposals
