"""What was measured, as one table of targets, as a figure, and in docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plot import write_plot
from benchmarks.results import Result, markdown_table

__all__ = ["RESULTS", "SCRIPTS", "filled", "measured_parts", "read_results", "targets_table", "write_page"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "performance.svg"


@dataclass(frozen=True, kw_only=True)
class Script:
    """One benchmark."""

    what: str
    takes_data: bool = False
    """Whether it is told where data sets lie by `--data`."""
    module: str = ""
    """Of which it is a part; default: its own name."""
    arguments: tuple[str, ...] = ()
    """That make it this part."""


SCRIPTS = {
    "where_time_goes": Script(what="Where time goes", takes_data=True),
    "sweep_mlp": Script(what="Sweep of an MLP on MNIST", takes_data=True),
    "sweep_cnn": Script(what="Sweep of a CNN with augmentation", takes_data=True),
    "feature_cache": Script(what="Frozen backbone", takes_data=True),
    "sweep_digits": Script(what="Trials of 0.1 s"),
    "tracking": Script(what="Tracking", takes_data=True),
    "memory": Script(what="Memory", takes_data=True),
    "start_up": Script(what="Start of commands"),
    "driver_load": Script(what="Driver of 256 workers"),
    "optimizer_cost": Script(what="Optuna in large studies"),
    "report_store": Script(what="Reports of 1,000 runs"),
    "report_store_10000": Script(
        what="Reports of 10,000 runs",
        module="report_store",
        arguments=("--runs", "10000", "--rounds", "3", "--places", "sqlite", "postgresql"),
    ),
    "report_page": Script(what="The page of 500 trials"),
}
"""By name, in the order of the page."""


def read_results(folder: Path = RESULTS) -> dict[str, Result]:
    """What was measured, by the script's name."""
    paths = {name: folder / f"{name}.json" for name in SCRIPTS}
    return {name: Result.read(path) for name, path in paths.items() if path.exists()}


def targets_table(results: Mapping[str, Result]) -> str:
    """Markdown: everything that something was wanted of."""
    lines = ["| | what | median | against | target | reached |", "|---|---|---|---|---|---|"]
    for name, result in results.items():
        for row in result.rows:
            if row.reached is not None:
                reached = "yes" if row.reached else "no"
                cells = (SCRIPTS[name].what, row.name, row.shown, row.ratio_shown, row.target_shown, reached)
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def measured_parts(results: Mapping[str, Result]) -> dict[str, str]:
    """What goes between the markers of the page, by their names; nothing for what was not measured."""
    parts = dict.fromkeys(SCRIPTS, "")
    for name, result in results.items():
        notes = "".join(f"\n\n{note}" for note in result.notes)
        where = f"{result.machine}; {result.date}, load {result.load:g}."
        parts[name] = f"{markdown_table(result.rows)}{notes}\n\n{where}"
    image = f"![Seconds of each way of doing the same work](images/{PLOT.name})"
    parts["all"] = f"{targets_table(results)}\n\n{image}" if results else ""
    return parts


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with its measured parts in place.

    Raises:
        ValueError: The page has no place for a part that is not empty.
    """
    for name, part in parts.items():
        begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            if part:
                raise ValueError(f"the page has no place for {name}: {begin} and {end}, each on a line of its own")
            continue
        text = f"{begin}\n\n{part}\n\n{end}" if part else f"{begin}\n{end}"
        page = pattern.sub(lambda _, text=text: text, page)  # type: ignore[misc]  # the part may hold backslashes
    return page


def write_page(results: Mapping[str, Result]) -> None:
    """Write docs/performance.md and its figure."""
    if results:
        write_plot(list(results.values()), PLOT)
    else:
        PLOT.unlink(missing_ok=True)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), measured_parts(results)), encoding="utf-8")
