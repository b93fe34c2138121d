"""Runs the studies of the reports in full, and writes results.md from what was tracked: ours beside what was published.

    python docs/results.py run A5 C4    in the current folder as workspace; without keys all, hours on 2 cores
    python docs/results.py write        results.md, from the workspace in the current folder

What was run is not run again, and what this workspace does not have stays on the page as another one left it. The
studies, their commands and the published figures stand in results.yaml.
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from sweeper.errors import NotFoundError
from sweeper.report.augmentations import fold_augmentations
from sweeper.report.final import FinalData, open_final
from sweeper.report.format import duration, number, param_text, percent, percent_decimals, plural, short_names
from sweeper.report.parameters import identity, run_params, varied_params
from sweeper.report.shares import possible
from sweeper.report.statistics import Interval, Sample, accuracy_interval, describe_sample
from sweeper.study.study import Objective
from sweeper.tracking.analyses import find_results
from sweeper.tracking.final import judged_metrics
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord
from sweeper.tracking.runs import read_study
from sweeper.tracking.workspace import Workspace

DOCS = Path(__file__).resolve().parent
STUDIES = DOCS.parent / "studies"
PAGE = DOCS / "results.md"
NOTE = "<!-- Written by docs/results.py from tracked runs. -->"
SEED = "seed"
_N_NAMES = 6
"""With more parameters than this a study is a search, of which the report has the table."""
_N_ROWS = 12
_NOT_RUN = "Not run."


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Aim(_Model):
    """What this project set itself, in percent."""

    measure: str
    at_least: float


class Reproduction(_Model):
    """A study of the reports: how it is run here, and what was published."""

    key: str
    title: str
    name: str
    """Of the tracked study."""
    commands: list[str]
    published: str
    measures: list[str] | None = None
    """Metrics that the table shows, without their part where it is the test part."""
    shows: str | None = None
    """Kind of analysis whose result is shown too."""
    aims: list[Aim] = []
    note: str = ""
    """What a reader has to know beside the figures."""


class Section(_Model):
    """Studies of one kind."""

    title: str
    about: str
    measures: list[str]
    studies: list[Reproduction]


def read_sections() -> list[Section]:
    """What results.yaml says."""
    raw = YAML(typ="safe").load((DOCS / "results.yaml").read_text(encoding="utf-8"))
    return [Section.model_validate(section) for section in raw]


# --- running ------------------------------------------------------------------------------------------------------


def run(keys: Sequence[str]) -> None:
    """Run the commands of the studies with these keys, of all without any, one after the other."""
    for section in read_sections():
        for study in section.studies:
            if keys and study.key not in keys:
                continue
            for command in study.commands:
                words = [_in_studies(word) for word in shlex.split(command)]
                quiet = ["--quiet"] if words[0] in ("start", "finalize") else []
                print(f"{study.key}: sweeper {command}", flush=True)
                begun = time.monotonic()
                subprocess.run([sys.executable, "-m", "sweeper", *words, *quiet], check=True)
                print(f"{study.key}: {duration(time.monotonic() - begun)}", flush=True)


def _in_studies(word: str) -> str:
    return str(STUDIES / word) if word.endswith(".yaml") else word


# --- what was tracked ---------------------------------------------------------------------------------------------


class Tried:
    """The configurations of a study, tested or not, and what was measured of them."""

    def __init__(self, record: StudyRecord, reader: RunReader) -> None:
        self.record = record
        self.reader = reader
        self.final: FinalData | None = open_final(record, reader)
        self.part = "val" if self.final is None else "test"
        if self.final is None:
            self._judged = judged_metrics(record, reader)
            self.groups = self._group()
        else:
            self.groups = [list(c.complete) for c in self.final.configurations if c.complete]

    def _group(self) -> list[list[RunRecord]]:
        """Complete runs that differ in their seed alone, the best by validation first."""
        groups: dict[tuple[tuple[str, str], ...], list[RunRecord]] = {}
        for run in self.record.runs:
            if run.state == "COMPLETE" and run.value is not None:
                key = tuple(sorted((k, identity(v)) for k, v in run.params.items() if k != SEED))
                groups.setdefault(key, []).append(run)
        sign = -1.0 if Objective.model_validate(self.record.study.get("objective", {})).maximize else 1.0
        return sorted(groups.values(), key=lambda runs: sign * math.fsum(r.value or 0.0 for r in runs) / len(runs))

    def sample(self, runs: Sequence[RunRecord], measure: str) -> Sample | None:
        """A metric over the runs of a configuration, with the interval of its mean."""
        metric = measure if measure.startswith(("val/", "train/")) else f"{self.part}/{measure}"
        if self.final is not None:
            return self.final.sample(next(c for c in self.final.configurations if c.runs[0] in runs), metric)
        if metric not in self._judged.columns:
            return None
        values = self._judged[metric].reindex([run.run_id for run in runs]).tolist()
        found = describe_sample([float(value) for value in values if math.isfinite(value)])
        return None if found is None else replace(found, interval=possible(found.interval, metric))

    @property
    def decimals(self) -> int:
        """Of percentages, such that one picture more shows."""
        return 1 if self.final is None else percent_decimals(self.final.n_pictures("test"))

    @property
    def chosen(self) -> list[RunRecord]:
        """Runs of the configuration that validation chooses."""
        return self.groups[0] if self.groups else []

    def labels(self) -> list[dict[str, str]]:
        """What tells each configuration from the others: values by parameter."""
        params = [fold_augmentations(run_params(runs[0])) for runs in self.groups]
        varied = [path for path in varied_params(params) if path != SEED]
        names = short_names(varied)
        return [{names[p]: param_text(one[p]) if p in one else "" for p in varied} for one in params]


def open_tried(name: str) -> Tried | None:
    """What was tracked of a study in the workspace of the current folder; None where it was not run."""
    try:
        return Tried(*read_study(name, Workspace.from_environment()))
    except NotFoundError:
        return None


def seconds_of(tried: Tried) -> float:
    """Training time of all trials, those of the tests included."""
    runs = [*tried.record.runs, *([] if tried.final is None else tried.final.final.runs)]
    times = [(run.start_time, run.end_time) for run in runs]
    return math.fsum((end - start).total_seconds() for start, end in times if start and end)


# --- the page -----------------------------------------------------------------------------------------------------


def _is_share(measure: str) -> bool:
    return "accuracy" in measure or measure.rpartition("/")[2] in ("auc", "precision", "recall")


def _figure(sample: Sample | None, measure: str, decimals: int) -> str:
    """A mean, and its 95 % interval."""
    if sample is None:
        return "–"

    def show(value: float) -> str:
        if measure.endswith("auc"):
            return f"{value:.4f}"
        return percent(value, decimals) if _is_share(measure) else number(value, 3)

    interval = "" if sample.interval is None else f" ({show(sample.interval.low)}–{show(sample.interval.high)})"
    return show(sample.mean) + interval


_WORDS = {
    "accuracy": "overall",
    "true_accuracy": "overall, true",
    "balanced_accuracy": "mean of classes",
    "true_balanced_accuracy": "mean of classes, true",
    "auc": "macro AUC",
    "train/accuracy": "training",
    "val/accuracy": "validation",
}


def _heading(measure: str) -> str:
    base, _, name = measure.partition("/")
    if base == "true_accuracy" and name:
        return f"{name}, true"
    if base in ("accuracy", "loss") and name:
        return name if base == "accuracy" else f"loss of {name}"
    return _WORDS.get(measure, measure)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def results_table(tried: Tried, measures: Sequence[str]) -> Iterator[str]:
    """Configurations against measures: the best by validation first; of a search the chosen one alone."""
    labels = tried.labels()
    names = list(dict.fromkeys(name for label in labels for name in label))
    searched = _searched(tried)
    is_search = len(names) > _N_NAMES or (len(tried.groups) == 1 and bool(searched))
    shown = [] if is_search else names
    rows = []
    for runs, label in list(zip(tried.groups, labels, strict=True))[: 1 if is_search else _N_ROWS]:
        cells = [_figure(tried.sample(runs, measure), measure, tried.decimals) for measure in measures]
        rows.append([*(label.get(name, "") for name in shown), str(len(runs)), *cells])
    yield from _table([*shown, "seeds", *map(_heading, measures)], rows)
    yield ""
    part = "the test part" if tried.part == "test" else "validation pictures, since the study was not tested"
    chosen = ""
    if is_search and tried.chosen:
        params = fold_augmentations(run_params(tried.chosen[0]))
        short = short_names(own := [path for path in searched if path in params])
        values = ", ".join(f"{short[path]} {param_text(params[path])}" for path in own)
        chosen = f" Chosen of {plural(len(tried.record.runs), 'trial')}: {values}."
    yield f"Ours, on {part}; the best by validation first, with 95 % intervals where there are seeds.{chosen}"


def _searched(tried: Tried) -> list[str]:
    """Paths of the parameters that varied between the trials of the study."""
    params = [fold_augmentations(run_params(run)) for run in tried.record.runs]
    return [path for path in varied_params(params) if path != SEED and not path.endswith(".repeat")]


def _audit(result: Mapping[str, Any]) -> Iterator[str]:
    truth = result["truth"]
    rows = [
        [what, _share(truth["found"], truth[of]), f"{truth['found']} of {truth[of]}"]
        for what, of in (("precision", "suspects"), ("recall", "wrong"))
    ]
    yield from _table(["", "% (95 % interval)", "labels"], rows)
    yield ""
    yield (
        f"{plural(result['n_pictures'], 'picture')} for training and validation, {result['n_folds']} folds, "
        f"{plural(result['n_seeds'], 'seed')}; pruned by `{result['prune']}`, which see in "
        "[Analyse a run](how-to/analysis.md). "
        f"{truth['wrong_after']} labels of {truth['wrong']} are wrong after relabelling."
    )


def _share(n: int, of: int) -> str:
    interval = accuracy_interval(n / of, of) if of else None
    return "–" if interval is None else f"{percent(n / of)} ({percent(interval.low)}–{percent(interval.high)})"


def _attack(result: Mapping[str, Any]) -> Iterator[str]:
    by_epsilon: dict[float, list[Mapping[str, Any]]] = {}
    for row in result["accuracy"]:
        by_epsilon.setdefault(row["epsilon"], []).append(row)
    target = result["target"]
    names = [str(row["class"]) for row in next(iter(by_epsilon.values()))]
    rows = []
    for epsilon, classes in by_epsilon.items():
        led = [] if target is None else [percent(_total(classes, "as_target") / _total(classes, "n"))]
        rows.append([number(epsilon, 2), *(percent(row["right"] / row["n"]) for row in classes), *led])
    yield from _table(["ε", *names, *([] if target is None else [f"taken for {target}"])], rows)
    yield ""
    yield (
        f"Accuracy of each class in percent after `{result['method']}`"
        f"{'' if target is None else f' towards {target}'}, "
        f"{plural(result['n_pictures'], 'validation picture')}, trial {result['trial']}."
    )


def _total(rows: Sequence[Mapping[str, Any]], key: str) -> int:
    return sum(int(row[key]) for row in rows)


_SPACES = {"features": "features of the model", "pixels": "principal components of the pixels"}


def _embedding(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [_SPACES.get(name, name), percent(space["plane"]["knn_accuracy"]), number(space["plane"]["silhouette"], 3)]
        for name, space in result["spaces"].items()
    ]
    yield from _table(["plane", "nearest neighbours of the same class, %", "silhouette"], rows)
    yield ""
    yield f"{plural(result['n_pictures'], 'validation picture')}, trial {result['trial']}."


_SHOWS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "audit": ("label_audit", _audit),
    "attack": ("attack", _attack),
    "embedding": ("embedding", _embedding),
}


def reached(study: Reproduction, measure: str, tried: Tried) -> tuple[float, Interval | None] | None:
    """What an aim is about, as a fraction with its interval; None where it was not measured."""
    if study.shows == "audit":
        for found in find_results(tried.record, tried.reader, "label_audit"):
            truth = found.result["truth"]
            of = truth["suspects" if measure == "precision" else "wrong"]
            return truth["found"] / of, accuracy_interval(truth["found"] / of, of)
        return None
    sample = tried.sample(tried.chosen, measure) if tried.chosen else None
    return None if sample is None else (sample.mean, sample.interval)


def write() -> None:
    """Write the page from the workspace in the current folder."""
    sections = read_sections()
    before = _read_page()
    tried = {study.name: open_tried(study.name) for section in sections for study in section.studies}
    aims = _table(["study", "", "measure", "aim", "ours (95 % interval)", "reached"], _aims(sections, tried, before))
    lines = [NOTE, "", "# Results", "", _INTRODUCTION, "", "## Aims", "", *aims, ""]
    for section in sections:
        lines += [f"## {section.title}", "", section.about, ""]
        for study in section.studies:
            heading = f"### {study.key} {study.title}"
            measured = list(_measured(study, section, tried[study.name])) or before.measured.get(heading, [_NOT_RUN])
            lines += [heading, "", *_describe(study), *measured, ""]
    PAGE.write_text("\n".join(map(_wrapped, lines)).rstrip() + "\n", encoding="utf-8")
    print(f"written: {PAGE}")


@dataclass(frozen=True)
class _Page:
    """What the page says already."""

    measured: dict[str, list[str]]
    """Lines of what was measured, by the study's heading."""
    aims: dict[tuple[str, str], list[str]]
    """Rows of the table of aims, by study and measure."""


def _read_page() -> _Page:
    measured: dict[str, list[str]] = {}
    aims = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n#"):
        heading, _, text = part.partition("\n")
        if heading == "# Aims":
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line]
            aims = {(row[0], row[2]): row for row in rows[2:]}
        elif heading.startswith("## "):
            lines = text.partition(_MEASURED)[2].strip().splitlines()
            if lines:
                measured[f"#{heading}"] = [_MEASURED, "", *lines]
    return _Page(measured, aims)


def _wrapped(line: str) -> str:
    if line.startswith(("|", "$", "#", "<")):
        return line
    return textwrap.fill(line, 120, break_long_words=False, break_on_hyphens=False)


_INTRODUCTION = (
    "The work that this service replaces, run from the study files in `studies/`: ours beside what five reports "
    "published. Accuracies are percent. `python docs/results.py run` types the commands, `python docs/results.py "
    "write` writes this page from the tracked runs; `sweeper report NAME` has the tables, curves and pictures of "
    "each study. Training time is of one core of a machine with two."
)
_MEASURED = "<!-- measured -->"


def _aims(sections: Sequence[Section], tried: Mapping[str, Tried | None], before: _Page) -> Iterator[list[str]]:
    aims = [(study, aim) for section in sections for study in section.studies for aim in study.aims]
    for study, aim in aims:
        one = tried[study.name]
        measured = None if one is None else reached(study, aim.measure, one)
        ours, verdict = before.aims.get((study.key, _heading(aim.measure)), ["not run", "–"])[-2:]
        if measured is not None:
            value, interval = measured
            ends = "" if interval is None else f" ({percent(interval.low, 2)}–{percent(interval.high, 2)})"
            ours, verdict = percent(value, 2) + ends, "yes" if 100.0 * value >= aim.at_least else "**no**"
        yield [study.key, study.title, _heading(aim.measure), f"≥ {aim.at_least:g}", ours, verdict]


def _describe(study: Reproduction) -> Iterator[str]:
    yield f"Published: {study.published}."
    yield ""
    yield "```console"
    for command in study.commands:
        yield "$ sweeper " + " ".join(f"studies/{word}" if word.endswith(".yaml") else word for word in command.split())
    yield "```"
    yield ""
    if study.note:
        yield study.note
        yield ""


def _measured(study: Reproduction, section: Section, tried: Tried | None) -> Iterator[str]:
    """What the workspace has of a study; nothing where it was not run there."""
    if tried is None:
        return
    results = find_results(tried.record, tried.reader, _SHOWS[study.shows][0]) if study.shows else []
    shows_runs = study.shows in (None, "embedding")
    if not shows_runs and not results:
        return
    yield _MEASURED
    yield ""
    if shows_runs:
        yield from results_table(tried, study.measures or section.measures)
        runs = [*tried.record.runs, *([] if tried.final is None else tried.final.final.runs)]
        yield ""
        yield f"{plural(len(runs), 'run')}, {duration(seconds_of(tried))} of training."
    for found in results:
        yield ""
        yield from _SHOWS[study.shows or ""][1](found.result)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run").add_argument("keys", nargs="*", help="such as A5; without any, all")
    commands.add_parser("write")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments.keys)
    else:
        write()


if __name__ == "__main__":
    main()
