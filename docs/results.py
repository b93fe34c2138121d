"""Runs the studies of the reports in full, and writes results.md from what was tracked: ours beside what was published.

    python docs/results.py run A5 C4    in the current folder as workspace; without keys all, hours on 2 cores
    python docs/results.py write        results.md, from the workspace in the current folder

What was run is not run again, and what this workspace does not have stays on the page as another one left it. The
studies, their commands and the published figures stand in results.yaml.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from results_tables import ANALYSES, heading_of, results_table, table
from results_tracked import Tried, open_tried, seconds_of
from ruamel.yaml import YAML

from sweeper.report.format import duration, percent, plural
from sweeper.report.statistics import Interval, accuracy_interval
from sweeper.tracking.analyses import find_results

DOCS = Path(__file__).resolve().parent
STUDIES = DOCS.parent / "studies"
PAGE = DOCS / "results.md"
NOTE = "<!-- Written by docs/results.py from tracked runs. -->"
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
    aims = table(["study", "", "measure", "aim", "ours (95 % interval)", "reached"], _aims(sections, tried, before))
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
        ours, verdict = before.aims.get((study.key, heading_of(aim.measure)), ["not run", "–"])[-2:]
        if measured is not None:
            value, interval = measured
            ends = "" if interval is None else f" ({percent(interval.low, 2)}–{percent(interval.high, 2)})"
            ours, verdict = percent(value, 2) + ends, "yes" if 100.0 * value >= aim.at_least else "**no**"
        yield [study.key, study.title, heading_of(aim.measure), f"≥ {aim.at_least:g}", ours, verdict]


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
    results = find_results(tried.record, tried.reader, ANALYSES[study.shows][0]) if study.shows else []
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
    for position, found in enumerate(results):
        if shows_runs or position:
            yield ""
        yield from ANALYSES[study.shows or ""][1](found.result)


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
