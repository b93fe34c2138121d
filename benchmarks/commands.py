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
from typing import Any

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
    """Variables beside those of this process. `SWEEPER_CACHE` is an empty folder where it is not given."""
    collect: Callable[[Path, str], Any] = lambda folder, output: None
    """Given the folder and what was printed, after the run: what is to be known of it."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One run of a command."""

    seconds: float
    """By the wall clock, from the start of the process to its end."""
    cpu_seconds: float
    """Of the process and all that it has waited for."""
    output: str
    collected: Any
    """What the command's `collect` returned."""


def time_in_turns(commands: Sequence[Command], *, rounds: int) -> dict[str, list[Timing]]:
    """Run all commands, and all again; shows each as it ends, with how busy the machine was before.

    Raises:
        SystemExit: A command failed; its output is shown.
    """
    timings: dict[str, list[Timing]] = {command.name: [] for command in commands}
    for round_ in range(rounds):
        for command in commands:
            busy = psutil.cpu_percent(interval=0.5)
            timing = run_once(command)
            timings[command.name].append(timing)
            print(
                f"round {round_ + 1}, {command.name}: {timing.seconds:.1f} s, {timing.cpu_seconds:.1f} s of CPU"
                + (f" (before, the machine was {busy:.0f} % busy)" if busy > 10 else ""),
                file=sys.stderr,
            )
    return timings


def run_once(command: Command) -> Timing:
    """Run a command.

    Raises:
        SystemExit: It failed; its output is shown.
    """
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
        collected = command.collect(Path(folder), result.stdout)
    cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return Timing(seconds=seconds, cpu_seconds=cpu_seconds, output=result.stdout, collected=collected)


def median_ratio(timings: Sequence[Timing], others: Sequence[Timing]) -> float:
    """The median of the ratios of the seconds of two commands, each taken within its round."""
    return median(a.seconds / b.seconds for a, b in zip(timings, others, strict=True))
