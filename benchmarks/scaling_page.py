"""docs/scaling.md from what was measured: the loads, what each report, trial and call costs, and how many workers that
lets one driver and one MLflow server carry.

    python -m benchmarks --page
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.page import RESULTS, ROOT, filled
from benchmarks.plot import write_scaling_plot
from benchmarks.results import quantity
from sweeper.tracking.recorder import MAX_SHARE

if TYPE_CHECKING:
    from benchmarks.load import Case, ScaleResult

__all__ = [
    "LOADS",
    "PAGE",
    "Costs",
    "carried_by_driver",
    "carried_by_server",
    "cases_table",
    "costs_of",
    "scaling_parts",
    "write_scaling_page",
]

PAGE = ROOT / "docs" / "scaling.md"
LOADS = ("driver_scale", "server_scale")
"""The scripts that measure loads, as modules."""
DRIVER, SERVER = (RESULTS / f"{name}.json" for name in LOADS)
USED = 0.7
"""Of a core: reports that come together would wait where it is always in use."""
CHECKPOINT_SECONDS = 10.0
"""Rows of a worker reach the tracker at its checkpoints: one call each."""
PLANNED = ((1.0, 60.0), (10.0, 600.0), (60.0, 3600.0), (300.0, 14400.0))
"""Seconds of an epoch and of a trial, mean."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """CPU seconds of a driver, measured under one load."""

    report: float
    """Of a report, with its decision and its place in Optuna's database."""
    trial: float
    """Of asking for a trial."""
    call: float
    """Of a call of the tracker."""
    calls_per_trial: float
    """Calls that add no rows, for each trial that ended: to begin its run, to end it, its artifacts."""


def costs_of(case: Case) -> Costs:
    """Costs by the parts of the driver's CPU time.

    Raises:
        ValueError: No trial was asked for or ended, or nothing was tracked: the load was measured for too short a time.
    """
    if not (case.n_asked and case.n_trials and case.n_calls):
        raise ValueError(f"{case.n_workers} workers: no trial was asked for, ended and tracked in {case.seconds:.0f} s")
    rest = case.cores["driver"] * case.seconds - case.ask_cpu_s - case.recorder_cpu_s
    return Costs(
        report=rest / case.n_reports,
        trial=case.ask_cpu_s / case.n_asked,
        call=case.recorder_cpu_s / case.n_calls,
        calls_per_trial=(case.n_calls - case.n_row_calls) / case.n_trials,
    )


def calls_per_second(costs: Costs, epoch_seconds: float, trial_seconds: float) -> float:
    """Calls of the tracker for one worker."""
    return 1 / max(epoch_seconds, CHECKPOINT_SECONDS) + costs.calls_per_trial / trial_seconds


def carried_by_driver(costs: Costs, epoch_seconds: float, trial_seconds: float) -> int:
    """Workers that one driver carries: its interpreter computes on one core, its recorder on a share of that."""
    calls = calls_per_second(costs, epoch_seconds, trial_seconds)
    cores = costs.report / epoch_seconds + costs.trial / trial_seconds + costs.call * calls
    return int(min(USED / cores, MAX_SHARE / (costs.call * calls)))


def carried_by_server(costs: Costs, server_call: float, epoch_seconds: float, trial_seconds: float) -> int:
    """Workers that one process of an MLflow server carries, whose call takes so many CPU seconds there."""
    return int(USED / (server_call * calls_per_second(costs, epoch_seconds, trial_seconds)))


def busiest_unbroken(cases: Sequence[Case]) -> Case:
    """The load with the most reports among those that were answered as fast as they could come, by 10 %."""
    unbroken = [case for case in cases if case.n_trials and case.reports_per_second >= 0.9 * case.wanted]
    if not unbroken:
        raise ValueError("no load was answered as fast as it came; measure smaller ones")
    return max(unbroken, key=lambda case: case.reports_per_second)


def cases_table(cases: Sequence[Case]) -> str:
    """Markdown: each load, what came of it, and who computed."""
    names = list(dict.fromkeys(name for case in cases for name in case.cores))
    head = ["recorded in", "workers", "reports wanted", "answered", "a report waits, median", "99th percentile"]
    head += ["rows tracked", "a call of the tracker, median", *(f"{name}, cores" for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for case in cases:
        cells = [case.place, str(case.n_workers), f"{case.wanted:g}/s", f"{case.reports_per_second:.1f}/s"]
        cells += [quantity(case.wait_median_s, "s"), quantity(case.wait_p99_s, "s"), f"{case.rows_per_second:.1f}/s"]
        cells += [quantity(case.call_wait_median_s, "s"), *(f"{case.cores.get(name, 0.0):.2f}" for name in names)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def scaling_parts(driver: ScaleResult, server: ScaleResult) -> dict[str, str]:
    """What goes between the markers of the page, by their names."""
    parts = {
        name: f"{cases_table(result.cases)}\n\n{result.machine}; {result.date}."
        for name, result in zip(LOADS, (driver, server), strict=True)
    }
    parts["costs"], parts["carried"] = _costs_table(driver, server), _carried_table(driver, server)
    return parts


def _server_calls(server: ScaleResult) -> tuple[Costs, Case, float]:
    case = max(server.cases, key=lambda case: case.n_calls / case.seconds)
    return costs_of(case), case, case.cores["MLflow"] * case.seconds / case.n_calls


def _costs_table(driver: ScaleResult, server: ScaleResult) -> str:
    case = busiest_unbroken(driver.cases)
    costs = costs_of(case)
    over_http, server_case, server_call = _server_calls(server)
    database = case.cores["PostgreSQL"] * case.seconds / case.n_reports
    rows = (
        ("c_report", "driver, a report", costs.report),
        ("c_trial", "driver, asking TPE for a trial", costs.trial),
        ("c_call", "driver, a call of the tracker, straight into PostgreSQL", costs.call),
        ("c_call", "driver, a call of the tracker, to an MLflow server", over_http.call),
        ("c_server", "MLflow server, a call", server_call),
        ("", "PostgreSQL, a report with all that it leads to", database),
    )
    lines = ["| constant | what | CPU time |", "|---|---|---|"]
    lines += [f"| {f'`{name}`' if name else ''} | {what} | {quantity(cost, 's')} |" for name, what, cost in rows]
    lines.append(f"| `k` | calls that add no rows, for each trial that ended | {costs.calls_per_trial:.1f} |")
    of = (
        f"From {case.n_workers} workers with {case.wanted:g} reports a second in {case.place}, "
        f"{case.n_trials / case.seconds:.1f} trials a second; of the server, from {server_case.n_workers} workers, "
        f"{server_case.place}."
    )
    return "\n".join([*lines, "", of])


def _carried_table(driver: ScaleResult, server: ScaleResult) -> str:
    costs = costs_of(busiest_unbroken(driver.cases))
    over_http, _, server_call = _server_calls(server)
    lines = [
        "| an epoch | a trial | one driver, PostgreSQL | one driver, MLflow server | a process of the MLflow server |",
        "|---|---|---|---|---|",
    ]
    for epoch, trial in PLANNED:
        carried = (
            carried_by_driver(costs, epoch, trial),
            carried_by_driver(over_http, epoch, trial),
            carried_by_server(over_http, server_call, epoch, trial),
        )
        lines.append(f"| {epoch:g} s | {trial:,g} s | {' | '.join(f'{n:,} workers' for n in carried)} |")
    return "\n".join(lines)


def read_scaling() -> dict[str, str]:
    """The parts of the page, from what was measured; nothing where it was not."""
    from benchmarks.load import ScaleResult  # imports the driver

    if not (DRIVER.exists() and SERVER.exists()):
        return dict.fromkeys((*LOADS, "costs", "carried"), "")
    return scaling_parts(ScaleResult.read(DRIVER), ScaleResult.read(SERVER))


def write_scaling_page(page: Path = PAGE) -> None:
    """Write docs/scaling.md and its plot."""
    from benchmarks.load import ScaleResult  # imports the driver

    page.write_text(filled(page.read_text(encoding="utf-8"), read_scaling()), encoding="utf-8")
    cases = [case for path in (DRIVER, SERVER) if path.exists() for case in ScaleResult.read(path).cases]
    if cases:
        write_scaling_plot(cases, page.parent / "images" / "scaling.svg")
