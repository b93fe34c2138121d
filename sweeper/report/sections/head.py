"""What was searched, over what data, with what budget, where and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeper.report.blocks import Block, Column, Facts, Note, Row, Table
from sweeper.report.format import as_float, count, duration, hide_paths, metric_label, param_text, plural, timestamp
from sweeper.report.searched import gather_space
from sweeper.report.study_data import StudyData
from sweeper.study.config import Config
from sweeper.tracking.records import RunRecord

__all__ = [
    "build_head",
    "failure_reason",
    "gather_classes",
    "gather_facts",
    "gather_failures",
    "run_seconds",
    "state_words",
]

_STATE_WORDS = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "RUNNING": "running",
    "WAITING": "waiting",
    "FAIL": "failed",
}
_VERSIONS = {
    "sweeper": "version",
    "python": "python",
    "torch": "torch",
    "torchvision": "torchvision",
    "cuda": "cuda",
    "numpy": "numpy",
    "scikit-learn": "scikit-learn",
    "optuna": "optuna",
    "mlflow": "mlflow",
}
"""What a version is of, and the tag that has it."""
_N_CLASSES_SHOWN = 20
"""With more classes than this, their table scrolls in its own frame."""
_PARTS = {"train": "training", "val": "validation", "test": "test"}
_REASON_LENGTH = 200


def state_words(state: str) -> str:
    """Optuna's name of a state as a word of a sentence."""
    return _STATE_WORDS.get(state, state.lower())


def run_seconds(run: RunRecord) -> float | None:
    """Seconds from a run's start to its end; None while it runs."""
    if run.start_time is None or run.end_time is None:
        return None
    return (run.end_time - run.start_time).total_seconds()


def failure_reason(run: RunRecord) -> str:
    """Why a run failed: the first lines of what was recorded, its kind and the error."""
    recorded = (run.tags.get(tag, "").strip().partition("\n")[0] for tag in ("sweeper.reason", "sweeper.error"))
    return hide_paths(": ".join(filter(None, recorded)))[:_REASON_LENGTH] or "not recorded"


def gather_classes(data: StudyData) -> pd.DataFrame:
    """Pictures of each class in each part: columns class, then those of train, val and test that are known."""
    info = data.data
    if info is None:
        return pd.DataFrame(columns=["class"])
    counts = {part: list(values) for part, values in info.counts.items() if len(values) == len(info.class_names)}
    return pd.DataFrame({"class": list(info.class_names), **counts})


def gather_failures(data: StudyData) -> pd.DataFrame:
    """Failed trials by reason: columns reason, n_trials, trials; the most frequent first."""
    trials: dict[str, list[int]] = {}
    for run in data.by_state.get("FAIL", []):
        trials.setdefault(failure_reason(run), []).append(run.number)
    rows = sorted(
        ((reason, len(n), ", ".join(map(str, n))) for reason, n in trials.items()), key=lambda r: (-r[1], r[0])
    )
    return pd.DataFrame(rows, columns=["reason", "n_trials", "trials"])


def _settings(config: Config) -> str:
    """`tpe (seed 7)`: what the study file says of a sampler or pruner."""
    given = {k: v for k, v in config.model_dump(exclude_unset=True).items() if k != "name" and v is not None}
    words = ", ".join(f"{key} {param_text(v['name'] if isinstance(v, dict) else v)}" for key, v in given.items())
    name: str = config.name  # type: ignore[attr-defined]  # every sampler and pruner has one
    return f"{name} ({words})" if words else name


def _distinct(data: StudyData, tag: str) -> list[str]:
    """Values of a tag over all runs, and over the study where no run has it; sorted."""
    values = {run.tags[tag] for run in data.runs if run.tags.get(tag)}
    return sorted(values) or ([data.record.tags[tag]] if data.record.tags.get(tag) else [])


def _commits(data: StudyData) -> list[str]:
    sources: Sequence[Any] = [*data.runs, data.record]
    pairs = {
        (s.tags["sweeper.commit"], s.tags.get("sweeper.dirty", "")) for s in sources if s.tags.get("sweeper.commit")
    }
    dirty = ("true", "True", "1", "yes")
    return sorted({commit[:12] + (" with uncommitted changes" if d in dirty else "") for commit, d in pairs})


def _trial_counts(data: StudyData) -> str:
    states = [f"{len(runs):,} {state_words(state)}" for state, runs in data.by_state.items()]
    budget = plural(data.study.n_trials, "trial")
    return f"{len(data.runs):,} of a budget of {budget}" + (f": {', '.join(states)}" if states else "")


def _compute(data: StudyData) -> str:
    seconds = [s for run in data.runs if (s := run_seconds(run)) is not None]
    words = f"{duration(sum(seconds))} over {plural(len(seconds), 'ended run')}" if seconds else "no run has ended"
    n_epochs = sum(data.n_epochs.values())
    return f"{words}, {plural(n_epochs, 'epoch')}" if n_epochs else words


def _when(data: StudyData) -> str:
    starts = [run.start_time for run in data.runs if run.start_time is not None]
    ends = [run.end_time for run in data.runs if run.end_time is not None]
    if not starts:
        return "not started"
    if any(run.state in ("RUNNING", "WAITING") for run in data.runs) or not ends:
        return f"since {timestamp(min(starts))}, not ended"
    elapsed = (max(ends) - min(starts)).total_seconds()
    return f"{timestamp(min(starts))} to {timestamp(max(ends))} ({duration(elapsed)})"


def _data_words(data: StudyData) -> str:
    info = data.data
    if info is None:
        return "not recorded"
    words = [info.name]
    if info.class_names:
        words.append(plural(len(info.class_names), "class", "classes"))
    if data.output_names:
        words.append(f"outputs {', '.join(data.output_names)}")
    if data.task == "regression":
        words.append(f"inputs of {plural(math.prod(info.input_shape), 'number')}")
    elif len(info.input_shape) == 3:
        channels, height, width = info.input_shape
        searched = (as_float(own.get("data.image_size")) for own in data.params.values())
        sides = sorted({int(side) for side in searched if side is not None})
        size = f"{height}×{width}" if len(sides) < 2 else " or ".join(f"{side}×{side}" for side in sides)
        words.append(f"{size} pixels, {plural(channels, 'channel')}")
    words += [f"{count(info.n_pictures(part))} {_PARTS[part]}" for part in info.counts]
    if info.split_seed is not None:
        words.append(f"split seed {info.split_seed}")
    return ", ".join(word for word in words if word)


def gather_facts(data: StudyData) -> list[tuple[str, list[str]]]:
    """Terms about the study, each with its values. Terms without a value are left out."""
    objective = data.objective
    direction = "maximize" if objective.maximize else "minimize"
    epoch = "best" if objective.at == "best" else "last"
    fingerprints = _distinct(data, "sweeper.data_fingerprint") or ([data.data.fingerprint] if data.data else [])
    versions = [f"{name} {', '.join(v)}" for name, tag in _VERSIONS.items() if (v := _distinct(data, f"sweeper.{tag}"))]
    facts = [
        ("Objective", [f"{direction} {metric_label(objective.metric)} at a trial's {epoch} epoch"]),
        ("Data", [_data_words(data)]),
        ("Data fingerprint", [f[:16] for f in fingerprints if f]),
        ("Sampler", [_settings(data.study.sampler)]),
        ("Pruner", [_settings(data.study.pruner)]),
        ("Trials", [_trial_counts(data)]),
        ("Compute", [_compute(data)]),
        ("When", [_when(data)]),
        ("Hosts", _distinct(data, "sweeper.host")),
        ("Devices", [", ".join(devices)] if (devices := _distinct(data, "sweeper.device")) else []),
        ("Commit", _commits(data) or ["not recorded: the folder that the sweep ran in was no git repository"]),
        ("Versions", [", ".join(versions)] if versions else []),
    ]
    return [(term, values) for term, values in facts if values]


def build_head(data: StudyData) -> Sequence[Block]:
    """Facts, search space, class counts and reasons of failure."""
    blocks: list[Block] = []
    if data.study.description:
        blocks.append(Note(text=hide_paths(data.study.description)))
    blocks.append(Facts(key="facts", items=gather_facts(data)))
    tables: list[Table] = []
    space = gather_space(data.study.trial)
    if space.empty:
        blocks.append(Note(text="Nothing was searched: every value of the study is fixed."))
    else:
        columns = [
            Column(key="parameter", label="parameter", header=True),
            Column(key="distribution", label="drawn from"),
        ]
        if (space["only_with"] != "").any():
            columns.append(Column(key="only_with", label="only with"))
        tables.append(Table(key="space", title="Search space", frame=space, columns=columns))
    classes = gather_classes(data)
    parts = [part for part in classes.columns if part != "class"]
    if parts:
        columns = [Column(key="class", label="class", header=True)]
        columns += [Column(key=part, label=_PARTS[part], show=count, numeric=True) for part in parts]
        tables.append(
            Table(
                key="classes",
                title="Pictures of each class",
                frame=classes,
                columns=columns,
                interactive=len(classes) > _N_CLASSES_SHOWN,
            )
        )
    failures = gather_failures(data)
    if not failures.empty:
        columns = [
            Column(key="reason", label="reason", header=True),
            Column(key="n_trials", label="trials", show=count, numeric=True),
            Column(key="trials", label="numbers"),
        ]
        tables.append(Table(key="failures", title="Why trials failed", frame=failures, columns=columns))
    return [*blocks, Row(items=tables)] if tables else blocks
