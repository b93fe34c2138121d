"""Times whole commands in turns (A B C A B C ...)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that is timed, each time in an empty folder of its own."""

    name: str
    arguments: Sequence[str]
    """After `python`."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Puts what it needs into the folder."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of this process."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One run of a command."""

    seconds: float
    """By the wall clock, from the start of the process to its end."""
    cpu_seconds: float
    """Of the process and all that it has waited for."""
    output: str


def time_in_turns(commands: Sequence[Command], *, rounds: int) -> dict[str, list[Timing]]:
    """Run all commands, and all again; shows each as it ends, with how busy the machine was before.

    Raises:
        SystemExit: A command failed; its output is shown.
    """
    timings: dict[str, list[Timing]] = {command.name: [] for command in commands}
    for round_ in range(rounds):
        for command in commands:
            busy = psutil.cpu_percent(interval=0.5)
            timing = _time(command)
            timings[command.name].append(timing)
            print(
                f"round {round_ + 1}, {command.name}: {timing.seconds:.1f} s, {timing.cpu_seconds:.1f} s of CPU"
                + (f" (before, the machine was {busy:.0f} % busy)" if busy > 10 else ""),
                file=sys.stderr,
            )
    return timings


def _time(command: Command) -> Timing:
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        command.prepare(Path(folder))
        root = str(Path(__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": root, "SWEEPER_CACHE": f"{folder}/cache", **command.environment}
        environment.pop("MLFLOW_TRACKING_URI", None)
        before, begin = os.times(), time.perf_counter()
        result = subprocess.run(
            [sys.executable, *command.arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        seconds, after = time.perf_counter() - begin, os.times()
    if result.returncode:
        raise SystemExit(f"{command.name} failed:\n{result.stdout}\n{result.stderr}")
    cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return Timing(seconds=seconds, cpu_seconds=cpu_seconds, output=result.stdout)


def medians_table(timings: dict[str, list[Timing]], *, against: str) -> str:
    """Markdown: median, least and most of the seconds, and the median of the ratios to one of the commands, each taken
    within its round."""
    lines = [f"| | seconds (least–most) | of CPU | ratio to {against} |", "|---|---|---|---|"]
    base = timings[against]
    for name, runs in timings.items():
        seconds = [run.seconds for run in runs]
        ratio = median(run.seconds / other.seconds for run, other in zip(runs, base, strict=True))
        lines.append(
            f"| {name} | {median(seconds):.1f} ({min(seconds):.1f}–{max(seconds):.1f}) "
            f"| {median(run.cpu_seconds for run in runs):.1f} | {ratio:.2f} |"
        )
    return "\n".join(lines)
