"""What a benchmark measured, as JSON beside the scripts: read by the table of `python -m benchmarks` and by
docs/performance.md.

    parser = benchmark_parser(__doc__, rounds=3)            # has --rounds and --json
    result = Result(
        title="A whole sweep",
        rows=(
            timed("sweeper", seconds, ratio=1.06, against="bare loop", target="ratio <= 1.1"),
            timed("bare loop", bare_seconds),
            timed("tutorial", tutorial_seconds, ratio=3.9, against="sweeper", target="ratio >= 3.5"),
            Row(name="memory", median=230.0, unit="MiB", n=5, target="median <= 250"),
        ),
    )
    result.publish(options.json)                            # prints it; writes it too where a file is given
"""

from __future__ import annotations

import argparse
import json
import operator
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import describe_machine

__all__ = ["Result", "Row", "benchmark_parser", "markdown_table", "quantity", "rounded", "timed"]

SIGNS = {"<=": ("≤", operator.le), ">=": ("≥", operator.ge)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that was measured."""

    name: str
    """What: a way of doing the work, a command, a place."""
    median: float
    """In `unit`; for times, seconds."""
    unit: str = "s"
    """`s`, or of what is no time: `MiB`, `cores`, `%`."""
    least: float | None = None
    most: float | None = None
    n: int
    """How many measurements the median is of."""
    cpu_s: float | None = None
    """Median of the CPU seconds."""
    ratio: float | None = None
    """To what `against` names: the median of the ratios within each round."""
    against: str = ""
    target: str = ""
    """What is wanted of it: `median <= 0.25` in `unit`, or `ratio >= 3.5`; nothing for what it is compared with."""

    def __post_init__(self) -> None:
        if self.target:
            measure, sign, bound = self.target.split()
            assert measure in ("median", "ratio"), self.target
            assert sign in SIGNS, self.target
            float(bound)

    @property
    def reached(self) -> bool | None:
        """Whether the target is; None without one."""
        if not self.target:
            return None
        measure, sign, bound = self.target.split()
        value = self.median if measure == "median" else self.ratio
        return value is not None and bool(SIGNS[sign][1](value, float(bound)))

    @property
    def target_shown(self) -> str:
        """The target as a reader wants it."""
        if not self.target:
            return ""
        measure, sign, bound = self.target.split()
        shown = f"{float(bound):g} ×" if measure == "ratio" else quantity(float(bound), self.unit)
        return f"{SIGNS[sign][0]} {shown}"

    @property
    def shown(self) -> str:
        """The median as a reader wants it."""
        return quantity(self.median, self.unit)

    @property
    def ratio_shown(self) -> str:
        """The ratio as a reader wants it."""
        if self.ratio is None:
            return ""
        form = ".2g" if self.ratio < 0.1 else ".2f" if self.ratio < 20 else ",.0f"
        return f"{self.ratio:{form}} × {self.against}"


def quantity(value: float, unit: str) -> str:
    """A number with three digits that count, and its unit; times below a second in milliseconds."""
    if unit == "s" and abs(value) < 1:
        value, unit = value * 1000, "ms"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}".strip()


def timed(name: str, seconds: Sequence[float], **fields: Any) -> Row:
    """A row of several measurements in seconds; `unit` where they are of something else."""
    return Row(name=name, median=median(seconds), least=min(seconds), most=max(seconds), n=len(seconds), **fields)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one script measured, where and when."""

    title: str
    rows: tuple[Row, ...]
    machine: str = field(default_factory=describe_machine)
    """Processor, cores, memory, versions."""
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    load: float = field(default_factory=lambda: round(os.getloadavg()[0], 1))
    """How many processes wanted to run in the last minute; the benchmark's own are among them."""
    notes: tuple[str, ...] = ()
    """Sentences that a reader of the figures needs: what was not there, what was multiplied."""

    @property
    def reached(self) -> bool:
        """Whether all targets are."""
        return all(row.reached is not False for row in self.rows)

    def publish(self, path: Path | None = None) -> None:
        """Print it, and write it where a path is given."""
        print(f"\n{self.title} ({self.machine}; {self.date}, load {self.load})\n")
        print(markdown_table(self.rows))
        for note in self.notes:
            print(f"\n{note}")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without what does not apply."""
        rows = [{k: rounded(v) for k, v in asdict(row).items() if v not in (None, "")} for row in self.rows]
        return {**asdict(self), "rows": rows}

    @classmethod
    def read(cls, path: Path) -> Result:
        """What `publish` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(Row(**row) for row in data.pop("rows"))
        return cls(**{**data, "rows": rows, "notes": tuple(data.pop("notes", ()))})


def rounded(value: Any) -> Any:
    """With five digits where it is a fraction; else as it is."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def markdown_table(rows: Iterable[Row]) -> str:
    """Rows as Markdown: what, median, CPU seconds, ratio, target, whether it is reached."""
    lines = ["| what | median (least–most) | of CPU | ratio | target | reached |", "|---|---|---|---|---|---|"]
    for row in rows:
        spread = ""
        if row.least is not None and row.most is not None and row.n > 1:
            spread = f" ({quantity(row.least, row.unit)}–{quantity(row.most, row.unit)})"
        cpu = "" if row.cpu_s is None else quantity(row.cpu_s, "s")
        reached = {None: "", True: "yes", False: "no"}[row.reached]
        lines.append(
            f"| {row.name} | {row.shown}{spread} | {cpu} | {row.ratio_shown} | {row.target_shown} | {reached} |"
        )
    return "\n".join(lines)


def benchmark_parser(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The parser of a script, with what all have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="measurements of each thing, in turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser
