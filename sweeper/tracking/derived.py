"""What links the runs of a study that draws no trials of its own to those of the study that it is of.

There are three kinds: `NAME.final` (tests of the best configurations), `NAME.promoted` (the best trials, continued) and
`NAME.reproduced` (runs trained again). None of their runs is a trial of the search.
"""

from __future__ import annotations

from sweeper.tracking.records import RunRecord

__all__ = ["RUN_TAG", "derived_name", "derived_of_tag", "source_of", "source_tags"]

_TRIAL_TAG = "sweeper.source_trial"
RUN_TAG = "sweeper.source_run"
"""The run that one is of."""


def derived_name(name: str, kind: str) -> str:
    """The name of a study of that kind."""
    return f"{name}.{kind}"


def derived_of_tag(kind: str) -> str:
    """The tag of the parent run that has the id of the study that it is of."""
    return f"sweeper.{kind}_of"


def source_tags(number: int, run_id: str | None) -> dict[str, str]:
    """Tags that link a run to the trial that it is of.

    Args:
        number: Of that trial in its study.
        run_id: Of its run; None where that is not known.
    """
    tags = {_TRIAL_TAG: str(number)}
    return tags if run_id is None else {**tags, RUN_TAG: run_id}


def source_of(run: RunRecord) -> int | None:
    """Number of the trial that a run is of; None for the runs of a search."""
    text = run.tags.get(_TRIAL_TAG, "")
    return int(text) if text.isascii() and text.isdecimal() else None
