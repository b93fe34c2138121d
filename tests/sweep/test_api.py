"""Studies made in Python: what is wrong with them is said as of a file, and overrides hold for them too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sweeper
from sweeper.errors import InputError, StudyError, StudyFileError
from sweeper.study.space import Space
from sweeper.study.study import GridSamplerConfig, MedianPrunerConfig, PatientPrunerConfig, Study
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import Workspace
from tests.sweep.studies import study_dict, write_study

TRIAL = study_dict()["trial"]


def start(study: Any, workspace: Workspace, **options: Any) -> Any:
    return sweeper.start(study, launcher="inline", devices=["cpu"], workspace=workspace, **options)


def without(raw: dict[str, Any], *path: str) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return {k: v for k, v in raw.items() if k != key}
    return {**raw, key: without(raw[key], *rest)}


def assert_said(error: StudyError, faults: list[str]) -> None:
    """Each line of the message begins so, and there is no other."""
    lines = str(error).split("\n")
    assert [line[: len(fault)] for line, fault in zip(lines, faults, strict=True)] == faults, lines


# --- making one ---------------------------------------------------------------------------------------------------

MADE: list[tuple[dict[str, Any], list[str]]] = [
    ({"trial": TRIAL}, ["study: name: is missing"]),
    ({"name": "tiny"}, ["study 'tiny': trial: is missing"]),
    (
        {"name": "tiny", "trial": [1]},
        ["study 'tiny': trial: given [1]; allowed: a mapping with data, model and training"],
    ),
    (
        study_dict(buget=3),
        ["study 'tiny': buget: unknown field; did you mean 'budget'? allowed: budget, description, keep_models, "],
    ),
    (
        study_dict(budget={"trials": 0, "seeds": "two"}),
        [
            "study 'tiny': budget.trials: given 0; allowed: at least 1",
            "study 'tiny': budget.seeds: given 'two'; allowed: an integer",
        ],
    ),
    (
        study_dict(sampler="tpee"),
        ["study 'tiny': sampler: given 'tpee'; did you mean 'tpe'? allowed: tpe, random, grid, gp, cmaes, qmc"],
    ),
    (
        study_dict(batch_size=sweeper.IntDistribution(low=64, high=16)),
        ["study 'tiny': trial.training.batch_size.int: given low 64 above high 16; allowed: [low, high] with"],
    ),
    (
        study_dict(batch_size=np.int64(64)),
        ["study 'tiny': trial.training.batch_size: given np.int64(64); allowed: a plain int, float, str, "],
    ),
]


@pytest.mark.parametrize("make", [Study.model_validate, lambda raw: Study(**raw)], ids=["model_validate", "init"])
@pytest.mark.parametrize(("raw", "faults"), MADE)
def test_a_study_that_cannot_be_made(
    raw: dict[str, Any], faults: list[str], make: Callable[[dict[str, Any]], Study]
) -> None:
    with pytest.raises(StudyError) as raised:
        make(raw)
    assert not isinstance(raised.value, StudyFileError), "there is no file"
    assert_said(raised.value, faults)


def test_options_that_are_no_list() -> None:
    with pytest.raises(InputError, match=r"^ChoiceDistribution: options: given 5; allowed: a list$"):
        sweeper.ChoiceDistribution(options=5)  # type: ignore[arg-type]


# --- starting one -------------------------------------------------------------------------------------------------

STARTED: list[tuple[dict[str, Any], list[str]]] = [
    (
        study_dict(epochs=0, batch_size={"choice": [32, -1]}),
        [
            "study 'tiny': trial.training.epochs: given 0; allowed: at least 1",
            "study 'tiny': trial.training.batch_size.choice.1: given -1; allowed: at least 1",
        ],
    ),
    (without(study_dict(), "trial", "training"), ["study 'tiny': trial.training: is missing"]),
    (without(study_dict(), "trial", "model", "hidden"), ["study 'tiny': trial.model.hidden: is missing"]),
    (
        study_dict(trial={**TRIAL, "model": {"name": "mlp", "hiden": [16]}}),
        [
            "study 'tiny': trial.model.hidden: is missing",
            "study 'tiny': trial.model.hiden: unknown field; did you mean 'hidden'? allowed: batch_norm, dropout, ",
        ],
    ),
    (
        study_dict(trial={**TRIAL, "data": {"name": "digits", "counts": {"11": 5}}}),
        ["study 'tiny': trial.data.counts: given '11'; allowed classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"],
    ),
    (
        study_dict(objective={"metric": "val/loss/y_0"}),
        ["study 'tiny': objective.metric: given 'val/loss/y_0'"],
    ),
    (study_dict(plugins=["gone.py"]), ["study 'tiny': plugins.0: plugin 'gone.py': there is no file"]),
]


@pytest.mark.parametrize(("raw", "faults"), STARTED)
def test_a_study_that_cannot_be_started(raw: dict[str, Any], faults: list[str], workspace: Workspace) -> None:
    study = Study.model_validate(raw)
    for run in (start, lambda study, workspace: sweeper.start_detached(study, workspace=workspace)):
        with pytest.raises(StudyError) as raised:
            run(study, workspace)
        assert_said(raised.value, faults)
    assert open_store(workspace, create=True).names() == [], "nothing is stored"


def test_a_study_whose_fields_were_replaced_unseen(workspace: Workspace) -> None:
    study = Study.model_validate(study_dict())
    with pytest.raises(StudyError, match=r"^study 'tiny': budget.trials: given 0; allowed: at least 1$"):
        start(study.model_copy(update={"budget": {"trials": 0}}), workspace)
    with pytest.raises(StudyError, match=r"^study 'tiny': trial.data: given 3; allowed: a mapping$"):
        start(study.model_copy(update={"trial": {**TRIAL, "data": 3}}), workspace)


@pytest.mark.parametrize("study", [5, study_dict()])
def test_what_is_no_study(study: Any, workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"^study: given .*; allowed: a Study, or the path of a study file$"):
        start(study, workspace)


# --- overrides ----------------------------------------------------------------------------------------------------


def test_overrides_hold_for_studies_and_files_alike(workspace: Workspace, folder: Path) -> None:
    overrides = ["trial.training.epochs=3", "trial.training.optimizer.lr=0.01", "budget.trials=1"]
    study = Study.model_validate(study_dict("made"))
    assert start(study, workspace, overrides=overrides).finished
    assert start(write_study(folder, "file"), workspace, overrides=overrides).finished
    for name in ("made", "file"):
        (run,) = sweeper.runs(name, workspace=workspace).to_dict("records")
        assert (run["training.epochs"], run["training.optimizer.lr"]) == (3, 0.01)
    assert study == Study.model_validate(study_dict("made")), "the object is as it was"


def test_overrides_that_do_not_fit(workspace: Workspace) -> None:
    study = Study.model_validate(study_dict())
    with pytest.raises(StudyError) as raised:
        start(study, workspace, overrides=["trial.training.epochs=0", "epochs"])
    assert str(raised.value).split("\n") == [
        "--set epochs: epochs: allowed: field=value, such as trial.training.epochs=3",
        "--set trial.training.epochs=0: trial.training.epochs: given 0; allowed: at least 1",
    ]
    with pytest.raises(InputError, match=r"^overrides: given 'name=x'; allowed: a list"):
        start(study, workspace, overrides="name=x")


# --- what is stored -----------------------------------------------------------------------------------------------


def test_parts_that_were_made_in_python_are_stored_with_their_names(workspace: Workspace) -> None:
    pruner = PatientPrunerConfig(patience=1, wrapped=MedianPrunerConfig(min_epochs=2))
    grid = {**TRIAL, "training": {**TRIAL["training"], "optimizer": "adam", "batch_size": {"choice": [64, 128]}}}
    study = Study(name="tiny", sampler=GridSamplerConfig(seed=1), pruner=pruner, trial=Space.parse(grid))
    assert start(study, workspace).finished
    stored = open_store(workspace).read("tiny").study
    assert (stored.sampler, stored.pruner) == (study.sampler, study.pruner)
