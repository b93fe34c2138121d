"""What links the runs of a study that draws no trials of its own to those of the study that it is of.

There are three kinds: `NAME.final` (tests of the best configurations), `NAME.promoted` (the best trials, continued) and
`NAME.reproduced` (runs trained again). None of their runs is a trial of the search.
"""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.tracking.records import RunRecord

__all__ = ["CONTINUED_TAG", "RUN_TAG", "derived_name", "derived_of_tag", "describe_source", "source_of", "source_tags"]

_TRIAL_TAG = "sweeper.source_trial"
RUN_TAG = "sweeper.source_run"
"""The run that one is of."""
CONTINUED_TAG = "sweeper.continued_from_epoch"
"""Of a run that began where another ended: the epochs that it had then; 0 where it was trained from the start."""


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


def describe_source(tags: Mapping[str, str]) -> str:
    """Which trial a run with these tags is of, in a sentence; empty for the runs of a search."""
    if _TRIAL_TAG not in tags:
        return ""
    epoch = tags.get(CONTINUED_TAG, "0")
    run = f", run `{tags[RUN_TAG]}`" if RUN_TAG in tags else ""
    return f"Of trial {tags[_TRIAL_TAG]}{run}" + (f", continued after epoch {epoch}." if epoch != "0" else ".")


def source_of(run: RunRecord) -> int | None:
    """Number of the trial that a run is of; None for the runs of a search."""
    text = run.tags.get(_TRIAL_TAG, "")
    return int(text) if text.isascii() and text.isdecimal() else None
