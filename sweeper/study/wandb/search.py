"""How a W&B sweep searches: its method, metric, budget and early termination, as settings of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.study.direction import default_direction
from sweeper.study.wandb.names import metric_of
from sweeper.study.wandb.settings import Found
from sweeper.study.wandb.sweep_file import SweepFile
from sweeper.study.words import show

__all__ = ["find_search"]

_NO_PART = {
    "program": "a script that W&B starts; sweeper trains by itself",
    "command": "how W&B starts a script; sweeper trains by itself",
    "job": "what W&B Launch starts; sweeper trains by itself",
    "image_uri": "what W&B Launch starts; sweeper trains by itself",
    "project": "where W&B keeps runs; sweeper has an MLflow experiment named like the study",
    "entity": "whose W&B account keeps the runs",
    "controller": "which program of W&B decides; sweeper's driver does",
    "scheduler": "a search of one's own; a study names its sampler",
    "metrics": "several metrics; a study has one objective",
}
_NO_PART_OF_METRIC = {
    "target": "a study does not end at a value; `sweeper stop` ends it",
    "impute": "what W&B takes for runs that failed; samplers here learn from failures in their own way",
    "impute_while_running": "what W&B takes for runs that go on; a study decides by values reported",
}


def find_search(sweep: SweepFile, base: Mapping[str, Any], mapped: Mapping[str, str]) -> Found:
    """What is said beside the parameters.

    Args:
        sweep: The sweep.
        base: The study that gives what the sweep does not say.
        mapped: Metrics of a study by W&B's names, by the user's word.
    """
    found = Found()
    for key, message in _NO_PART.items():
        if key in sweep.raw:
            found.leave(key, sweep.line(key), message)
    if "metric" in sweep.raw:
        _find_objective(sweep, base, mapped, found)
    if "early_terminate" in sweep.raw:
        _find_pruner(sweep, found)
    _find_sampler(sweep, base, found)
    return found


def _find_objective(sweep: SweepFile, base: Mapping[str, Any], mapped: Mapping[str, str], found: Found) -> None:
    raw = sweep.raw["metric"]
    for key, message in _NO_PART_OF_METRIC.items():
        if key in raw:
            found.leave(f"metric.{key}", sweep.line("metric", key), message)
    name = raw["name"]
    metric = mapped.get(name) or metric_of(name)
    if metric is None:
        likely = "val/accuracy" if raw.get("goal") == "maximize" else "val/loss"
        why = f"whether of training or of validation, and which, is not known; say it by --map {name}={likely}"
        if "test" in name.lower():
            why = "what the test pictures say must choose nothing; `sweeper finalize` measures on them"
        found.leave("metric.name", sweep.line("metric", "name"), f"{show(name)}: {why}")
        return
    direction = raw.get("goal", "minimize")
    changes = []
    if "goal" not in raw and direction != default_direction(metric):
        changes = [f"{metric} is minimized, as W&B does where no goal is given; change objective.direction if need be"]
    objective = {"metric": metric, "direction": direction}
    rest = {key: value for key, value in (base.get("objective") or {}).items() if key not in objective}
    option = f"--map {name}={metric}" if name in mapped else None
    found.add("metric", sweep.line("metric"), "objective", {**objective, **rest}, changes, option=option)


def _find_pruner(sweep: SweepFile, found: Found) -> None:
    raw, line, eta = (
        sweep.raw["early_terminate"],
        sweep.line("early_terminate"),
        sweep.raw["early_terminate"].get("eta", 3),
    )
    if raw.get("strict"):
        strict_line = sweep.line("early_terminate", "strict")
        found.leave("early_terminate.strict", strict_line, "a pruner here has one rule: the best 1/eta go on")
    if eta != int(eta):
        found.leave("early_terminate", line, f"eta of {eta}; allowed for a reduction_factor: an integer of at least 2")
        return
    first = raw.get("min_iter")
    if "max_iter" in raw:  # W&B then counts back from it
        rungs = [raw["max_iter"] / eta**i for i in range(1, raw["s"] + 1)]
        first = next((int(rung) for rung in reversed(rungs) if rung >= 1), None)
    if first is None:
        found.leave("early_terminate", line, f"max_iter of {raw['max_iter']} has no bracket of at least 1")
        return
    change = "what W&B calls hyperband is one bracket, successive halving; W&B counts values logged, a study epochs"
    pruner = {"name": "successive_halving", "min_epochs": first, "reduction_factor": int(eta)}
    found.add("early_terminate", line, "pruner", pruner, [change])


def _find_sampler(sweep: SweepFile, base: Mapping[str, Any], found: Found) -> None:
    """Which sampler a method is hangs on the space; the study's builder knows it."""
    method, line, budget = sweep.raw["method"], sweep.line("method"), base.get("budget") or {}
    changes = []
    if "run_cap" in sweep.raw:
        found.add("run_cap", sweep.line("run_cap"), "budget", {**budget, "trials": sweep.raw["run_cap"]})
    elif method != "grid":
        changes = ["without run_cap, W&B goes on until it is stopped; a study ends after budget.trials"]
    elif "trials" in budget:
        changes = ["without run_cap, W&B tries every point; budget.trials of the base study is left out"]
    if method == "custom":
        found.leave("method", line, "custom: a search of one's own; a study names its sampler")
    else:
        found.add("method", line, "sampler", method, changes)
