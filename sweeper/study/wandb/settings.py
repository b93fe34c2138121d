"""What of a W&B sweep is to be put into a study, and what cannot be."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.errors import InputError
from sweeper.study.direction import is_maximized
from sweeper.study.wandb.distributions import Converted, NotCarriedError, convert_distribution
from sweeper.study.wandb.hidden import hidden_layers
from sweeper.study.wandb.names import HIDDEN, LAYERS, OPTIONS, WIDTH, field_of, metric_of, option_of
from sweeper.study.wandb.place import takes_integers
from sweeper.study.wandb.sweep_file import Parameter, SweepFile
from sweeper.study.words import nearest, show

__all__ = ["Note", "Setting", "find_settings", "parse_map"]

_ABOVE = {"training.optimizer.lr": 0.0}
_BELOW = dict.fromkeys(("model.dropout", "training.optimizer.momentum", "training.loss.label_smoothing"), 1.0)
"""Ends that a range of W&B often has and a field does not take."""
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


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that the study does not say, or says otherwise, than the sweep."""

    field: str
    """In the W&B file, such as `parameters.dropout`."""
    line: int
    message: str
    carried: bool = False
    """Whether it is in the study, with this difference."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Something to be put into the study."""

    sources: tuple[tuple[str, int], ...]
    """Fields of the W&B file that say it, with their lines."""
    field: str
    """Of the study: `objective`, `trial.training.epochs`."""
    value: Any
    changes: tuple[str, ...] = ()
    """In what it differs from W&B's."""
    option: str | None = None
    """The `--map` that says where it belongs."""

    def notes(self, *messages: str, carried: bool) -> Iterator[Note]:
        """A note of each source for each message."""
        for field, line in self.sources:
            for message in messages:
                yield Note(field=field, line=line, message=message, carried=carried)


def parse_map(text: str) -> tuple[str, str]:
    """`NAME=PATH` as name and path, without the `trial.` that all paths begin with.

    Raises:
        InputError: It has no such form.
    """
    name, _, path = (part.strip() for part in text.partition("="))
    if not name or not re.fullmatch(r"(train|val)/.+|[^.[\]=]+(\.[^.[\]]+|\[[^\]]+\])*", path):
        raise InputError(f"--map: given {text!r}; allowed: NAME=PATH, such as width=trial.model.hidden.0")
    return name, path.removeprefix("trial.")


def find_settings(
    sweep: SweepFile, base: Mapping[str, Any], maps: Sequence[str] = ()
) -> tuple[list[Setting], list[Note]]:
    """What is to be put into the study, and what cannot be.

    Args:
        sweep: The sweep.
        base: The study that gives what the sweep does not say.
        maps: `NAME=PATH`: fields for parameters, or the objective for the metric, by the user's word.

    Raises:
        InputError: A `--map` that fits nothing.
    """
    mapped = {name: (path, f"--map {text}") for text in maps for name, path in [parse_map(text)]}
    metric = sweep.raw.get("metric", {}).get("name")
    known = [parameter.name for parameter in sweep.parameters] + ([metric] if metric else [])
    for name, (_, option) in mapped.items():
        if name not in known:
            hint = nearest(name, known) or ";"
            raise InputError(f"{option}: {sweep.source} has no {name!r}{hint} it has: {', '.join(known)}")
    finder = _Finder(sweep, base, mapped)
    finder.read_top()
    finder.read_parameters()
    return finder.settings, finder.notes


class _Finder:
    def __init__(self, sweep: SweepFile, base: Mapping[str, Any], mapped: Mapping[str, tuple[str, str]]) -> None:
        self.settings: list[Setting] = []
        self.notes: list[Note] = []
        self._sweep = sweep
        self._base = base
        self._mapped = mapped

    def _leave(self, field: str, message: str) -> None:
        line = self._sweep.line(*field.split("."))
        self.notes.append(Note(field=field, line=line, message=message))

    def _add(self, source: str, field: str, value: Any, *changes: str) -> None:
        sources = ((source, self._sweep.line(*source.split("."))),)
        self.settings.append(Setting(sources=sources, field=field, value=value, changes=changes))

    def read_top(self) -> None:
        raw = self._sweep.raw
        for key, message in _NO_PART.items():
            if key in raw:
                self._leave(key, message)
        if "metric" in raw:
            self._read_metric(raw["metric"])
        if "early_terminate" in raw:
            self._read_early_terminate(raw["early_terminate"])
        budget = self._base.get("budget") or {}
        if "run_cap" in raw:
            self._add("run_cap", "budget", {**budget, "trials": raw["run_cap"]})
        if raw["method"] == "custom":
            self._leave("method", "custom: a search of one's own; a study names its sampler")
            return
        changes = []
        if "run_cap" not in raw and raw["method"] != "grid":
            changes.append("without run_cap, W&B goes on until it is stopped; a study ends after budget.trials")
        elif "run_cap" not in raw and "trials" in budget:
            changes.append("without run_cap, W&B tries every point; budget.trials of the base study is left out")
        self._add("method", "sampler", raw["method"], *changes)

    def _read_metric(self, raw: Mapping[str, Any]) -> None:
        for key, message in (
            ("target", "a study does not end at a value; `sweeper stop` ends it"),
            ("impute", "what W&B takes for runs that failed; samplers here learn from failures in their own way"),
            ("impute_while_running", "what W&B takes for runs that go on; a study decides by values reported"),
        ):
            if key in raw:
                self._leave(f"metric.{key}", message)
        name = raw["name"]
        mapped, _ = self._mapped.get(name, (None, ""))
        metric = mapped if mapped is not None and "/" in mapped else metric_of(name)
        if metric is None:
            of_test = "test" in name.lower()
            why = (
                "what the test pictures say must choose nothing; `sweeper finalize` measures on them"
                if of_test
                else f"whether of training or of validation, and which, is not known; say it by --map {name}=val/loss"
            )
            self._leave("metric.name", f"{show(name)}: {why}")
            return
        direction = raw.get("goal", "minimize")
        objective = {"metric": metric, "direction": direction}
        objective = {**objective, **(self._base.get("objective") or {}), **objective}
        better = is_maximized({"metric": metric, "direction": None})
        changes = (
            [f"{metric} is minimized, as W&B does where no goal is given; set objective.direction if that is not meant"]
            if "goal" not in raw and better
            else []
        )
        self._add("metric", "objective", objective, *changes)

    def _read_early_terminate(self, raw: Mapping[str, Any]) -> None:
        eta = raw.get("eta", 3)
        if raw.get("strict"):
            self._leave("early_terminate.strict", "a pruner here has one rule: the best 1/eta go on")
        if eta != int(eta) or eta < 2:
            self._leave("early_terminate", f"eta of {eta}; allowed for a reduction_factor: an integer of at least 2")
            return
        if "max_iter" in raw:
            rungs = [raw["max_iter"] / eta**i for i in range(1, raw["s"] + 1)]
            first = next((int(rung) for rung in reversed(rungs) if rung >= 1), None)
            if first is None:
                self._leave("early_terminate", f"max_iter of {raw['max_iter']} has no bracket of at least 1")
                return
        else:
            first = raw["min_iter"]
        pruner = {"name": "successive_halving", "min_epochs": first, "reduction_factor": int(eta)}
        self._add(
            "early_terminate",
            "pruner",
            pruner,
            "what W&B calls hyperband is one bracket, successive halving; W&B counts values logged, a study epochs",
        )

    def read_parameters(self) -> None:
        by_field: dict[str, list[Parameter]] = defaultdict(list)
        for parameter in self._sweep.parameters:
            mapped, _ = self._mapped.get(parameter.name, (None, ""))
            field = mapped if mapped is not None and "/" not in mapped else field_of(parameter.name)
            if field is None:
                message = f"no field is known by this name; say which by --map {parameter.name}=PATH"
                self.notes.append(Note(field=parameter.field, line=parameter.line, message=message))
            else:
                by_field[field].append(parameter)
        found: dict[str, tuple[Parameter, Converted]] = {}
        for field, parameters in by_field.items():
            said = [parameter for parameter in parameters if parameter.name in self._mapped]
            rivals = said or parameters
            for parameter in parameters if len(rivals) > 1 else [each for each in parameters if each not in rivals]:
                others = " and ".join(each.name for each in parameters if each is not parameter)
                message = f"{others} stands for {field} too; say which does by --map {parameter.name}={field}"
                self.notes.append(Note(field=parameter.field, line=parameter.line, message=message))
            if len(rivals) == 1:
                converted = self._convert(rivals[0], field)
                if converted is not None:
                    found[field] = rivals[0], converted
        self._add_hidden(found)
        # What is chosen by name goes first, so that fields of its options find them.
        for field in sorted(found, key=lambda each: each not in OPTIONS):
            self._add_parameter(field, *found[field])

    def _convert(self, parameter: Parameter, field: str) -> Converted | None:
        integer = field in (HIDDEN, WIDTH, LAYERS) or takes_integers(field)
        grid = self._sweep.raw["method"] == "grid"
        above, below = _ABOVE.get(field), _BELOW.get(field)
        try:
            converted = convert_distribution(parameter, integer=integer, grid=grid, above=above, below=below)
            return _by_name(field, converted) if field in OPTIONS else converted
        except NotCarriedError as error:
            self.notes.append(Note(field=parameter.field, line=parameter.line, message=f"for {field}: {error}"))
            return None

    def _add_hidden(self, found: dict[str, tuple[Parameter, Converted]]) -> None:
        """Width and number of layers become the one list that a study has of them."""
        parts = {field: found.pop(field) for field in (WIDTH, LAYERS) if field in found}
        if not parts:
            return
        sources = tuple((parameter.field, parameter.line) for parameter, _ in parts.values())
        changes = tuple(change for _, converted in parts.values() for change in converted.changes)
        raws = {field: converted.raw for field, (_, converted) in parts.items()}
        base = (self._base.get("trial") or {}).get("model")
        try:
            if HIDDEN in found:
                raise NotCarriedError(f"{found[HIDDEN][0].name} gives the widths of all layers")
            value = hidden_layers(raws.get(WIDTH), raws.get(LAYERS), base)
        except NotCarriedError as error:
            for parameter, _ in parts.values():
                message = str(error).replace("NAME", parameter.name)
                self.notes.append(Note(field=parameter.field, line=parameter.line, message=message))
            return
        self.settings.append(Setting(sources=sources, field=f"trial.{HIDDEN}", value=value, changes=changes))

    def _add_parameter(self, field: str, parameter: Parameter, converted: Converted) -> None:
        mapped, option = self._mapped.get(parameter.name, (None, None))
        self.settings.append(
            Setting(
                sources=((parameter.field, parameter.line),),
                field=f"trial.{field}",
                value=converted.raw,
                changes=converted.changes,
                option=option if mapped == field else None,
            )
        )


def _by_name(field: str, converted: Converted) -> Converted:
    """Names of options in the words of a study; those that it does not have are left out, and said to be.

    Raises:
        NotCarriedError: It has none of them.
    """
    raw = converted.raw
    names = raw["choice"] if isinstance(raw, dict) and "choice" in raw else [raw]
    options = {str(name): option_of(field, str(name)) for name in names}
    unknown = [name for name, option in options.items() if option is None]
    known = list(dict.fromkeys(option for option in options.values() if option is not None))
    message = (
        f"no {field.rpartition('.')[2]} here is known as {', '.join(unknown)}; allowed: {', '.join(OPTIONS[field])}"
    )
    if not known:
        raise NotCarriedError(message)
    changes = (*converted.changes, *([message] if unknown else []))
    return Converted(raw={"choice": known} if len(known) > 1 else known[0], changes=changes)
