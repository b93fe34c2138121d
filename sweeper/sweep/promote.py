"""Continuing the best trials of a study for longer, from where they ended.

The trainings are the trials of a study of their own, `NAME.promoted`; see `sweeper.sweep.derived`. Each begins with the
checkpoint of the last epoch of its trial, its rows so far, and its model, and so goes on as if it had been interrupted
there. Where that checkpoint is not kept, it is trained from the start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.errors import InputError
from sweeper.failpoints import failpoint
from sweeper.search.attributes import SEED_OFFSET_ATTR
from sweeper.search.storage import Queued, StoredStudy
from sweeper.study.config import TrialConfig, trial_config
from sweeper.sweep.derived import Plan, Planned, create_derived, extend, open_ended, run_ids
from sweeper.sweep.finalize import Configuration, choose
from sweeper.sweep.store import open_store
from sweeper.tracking.derived import CONTINUED_TAG, source_tags
from sweeper.tracking.reading import open_reader
from sweeper.tracking.subject import config_of
from sweeper.tracking.workspace import StudyFiles, TrialFiles, Workspace, read_json

__all__ = ["Promotion", "prepare_promotion"]


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What is to be continued."""

    name: str
    """Of the study of continued trials."""
    trials: Sequence[int]
    """Numbers of the trials that are continued."""
    n_new: int
    """Trainings that this request has added."""
    notes: Sequence[str]
    """What the user should know."""


def prepare_promotion(
    workspace: Workspace, name: str, *, top: int, epochs: int, trials: Sequence[int] = ()
) -> Promotion:
    """Store the trainings by which the best trials of a study go on; those that are stored stay.

    Args:
        workspace: Where the study is stored.
        name: Its name.
        top: How many configurations, the best first, with all of their seeds.
        epochs: Epochs in all, those that a trial has included.
        trials: Numbers of trials whose configurations are continued instead of the best.

    Raises:
        NotFoundError: There is no study of that name.
        InputError: Nothing of it can be continued so: no complete trial, or none with fewer epochs.
        OwnedError: The study still runs, or its continued trials do.
    """
    stored, files = open_ended(workspace, name, why="its best trials may change")
    chosen = choose(stored, top=top, trials=trials)
    numbers = [number for each in chosen for number in _complete(stored, each)]
    configs = _configs(workspace, stored, files, numbers)
    notes: list[str] = []
    going_on = [number for number in numbers if _may_go_on(files, configs[number], number, epochs, notes)]
    if not going_on:
        raise InputError("\n".join([f"no trial of {name} can be continued to {epochs} epochs:", *notes]))
    store = open_store(workspace)
    promoted = create_derived(workspace, store, stored.study, stored.uuid, "promoted")

    def queue(files_of_promoted: StudyFiles, plan: Plan, missing: Sequence[Planned]) -> Iterator[Queued]:
        known = _configs(workspace, stored, files, {each.number for each in missing})
        of_runs = run_ids(workspace, stored, files, set(known))
        for each in missing:
            begun = _copy(files, files_of_promoted, plan, each)
            if begun == 0:
                notes.append(
                    f"trial {each.number} has no checkpoint of its last epoch here; it is trained from the start"
                )
            tags = source_tags(each.number, of_runs.get(each.number))
            trial = stored.trials[each.number]
            yield Queued(
                params=trial.params,
                seed_offset=trial.attrs.get(SEED_OFFSET_ATTR, 0),
                tags={**tags, CONTINUED_TAG: str(begun)},
                config=_longer(known[each.number], each.detail).model_dump(mode="json"),
            )

    wanted = [(number, epochs) for number in going_on]
    _, n_new = extend(workspace, store, promoted, lambda found, plan: wanted, queue)
    schedules = {configs[number].training.schedule.name for number in going_on} & {"cosine", "one_cycle"}
    if schedules:
        notes.append(
            f"the schedule {' or '.join(sorted(schedules))} is spread over all epochs: from the first new one on, the "
            f"learning rate is that of a training of {epochs} epochs"
        )
    return Promotion(name=promoted, trials=going_on, n_new=n_new, notes=notes)


def _complete(stored: StoredStudy, configuration: Configuration) -> list[int]:
    """Its trials, one a seed: with several of the same seed, the first."""
    found: dict[Any, int] = {}
    for number in sorted(configuration.numbers):
        trial = stored.trials[number]
        if trial.state == "COMPLETE":
            found.setdefault((trial.params.get("seed"), trial.attrs.get(SEED_OFFSET_ATTR, 0)), number)
    return sorted(found.values())


def _configs(
    workspace: Workspace, stored: StoredStudy, files: StudyFiles, numbers: set[int] | Sequence[int]
) -> dict[int, TrialConfig]:
    """The configurations of some trials: from their files, or from the tracker where they were trained elsewhere."""
    texts = {number: read_json(files.trial(number).artifacts / "config.json") for number in numbers}
    if any(data is not None and trial_config(data) is not TrialConfig for data in texts.values()):
        raise InputError(
            f"{stored.study.name} trains by a loop of its own, which says itself how long; allowed: studies without "
            "`loop`"
        )
    known = {number: TrialConfig.model_validate(data) for number, data in texts.items() if data is not None}
    if set(numbers) - known.keys():
        reader = open_reader(workspace.tracking_uri)
        record = reader.read_study(stored.study.name)
        known |= {
            run.number: config_of(run, reader) for run in record.runs if run.number in set(numbers) - known.keys()
        }
    return known


def _may_go_on(files: StudyFiles, config: TrialConfig, number: int, epochs: int, notes: list[str]) -> bool:
    if config.training.epochs >= epochs:
        notes.append(f"trial {number} has {config.training.epochs} epochs; --epochs: allowed are more than that")
        return False
    tags = (read_json(files.trial(number).outcome) or {}).get("tags", {})
    if "sweeper.stopped_early" in tags:
        notes.append(f"trial {number} was ended by early stopping, and more epochs would not change that")
        return False
    return True


def _longer(config: TrialConfig, epochs: int) -> TrialConfig:
    data = config.model_dump(mode="json")
    return TrialConfig.model_validate({**data, "training": {**data["training"], "epochs": epochs}})


def _copy(files: StudyFiles, files_of_promoted: StudyFiles, plan: Plan, planned: Planned) -> int:
    """Give a training what it goes on from. Returns the epochs that it has then; 0 where it begins anew.

    A trial that was continued before goes on from where that ended. Called again after a crash, it does the same again.
    """
    from sweeper.training.checkpoint import load_checkpoint  # torch takes seconds

    pairs = [tuple(pair) for each in plan["rounds"] for pair in each["trials"]][: planned.index]
    before = [(epochs, index) for index, (number, epochs) in enumerate(pairs) if number == planned.number]
    sources = [
        files_of_promoted.trial(index) for epochs, index in sorted(before, reverse=True) if epochs < planned.detail
    ]
    for source in (*sources, files.trial(planned.number)):
        state = load_checkpoint(source.last, source.last)
        if state is not None and source.model.exists():
            _copy_files(source, files_of_promoted.trial(planned.index))
            return int(state["training"]["epoch"])
    return 0


def _copy_files(source: TrialFiles, target: TrialFiles) -> None:
    """The checkpoint last: a training that finds it finds the rest."""
    target.folder.mkdir(parents=True, exist_ok=True)
    for before, now in ((source.outbox, target.outbox), (source.model, target.model), (source.last, target.checkpoint)):
        partial = now.with_name(f".{now.name}.tmp")
        shutil.copyfile(before, partial)
        partial.replace(now)
    failpoint("derived.copied")
