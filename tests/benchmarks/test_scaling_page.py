"""docs/scaling.md: its tables are those of the measured loads, and its constants are computed from them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.driver_scale import load_of
from benchmarks.load import Case, ScaleResult
from benchmarks.page import filled
from benchmarks.plot import write_scaling_plot
from benchmarks.scaling_page import (
    PAGE,
    Costs,
    busiest_unbroken,
    carried_by_driver,
    carried_by_server,
    cases_table,
    costs_of,
    read_scaling,
    scaling_parts,
)

CASE = Case(
    place="PostgreSQL",
    n_workers=64,
    epoch_seconds=1.0,
    seconds=10.0,
    n_reports=620,
    wait_median_s=0.002,
    wait_p99_s=0.05,
    n_trials=20,
    n_asked=20,
    ask_cpu_s=0.4,
    recorder_cpu_s=1.5,
    n_calls=150,
    n_row_calls=70,
    n_rows=600,
    call_wait_median_s=0.01,
    cores={"driver": 0.5, "PostgreSQL": 0.1, "MLflow": 0.3},
)
COSTS = Costs(report=0.002, trial=0.05, call=0.01, calls_per_trial=4.0)


def test_costs_add_up_to_the_time_of_the_driver() -> None:
    costs = costs_of(CASE)
    spent = costs.report * CASE.n_reports + costs.trial * CASE.n_asked + costs.call * CASE.n_calls
    assert spent == pytest.approx(CASE.cores["driver"] * CASE.seconds)
    assert costs.calls_per_trial == 4.0


def test_costs_need_trials_that_ended() -> None:
    with pytest.raises(ValueError, match="no trial was asked for"):
        costs_of(replace(CASE, n_asked=0))


def test_a_driver_carries_what_its_core_does_and_its_recorder_follows() -> None:
    # Of a second, one worker takes 2 ms for its report, 0.5 ms for its trial, 1.4 ms for 0.14 calls.
    assert carried_by_driver(COSTS, 1.0, 100.0) == int(0.7 / 0.0039)
    # Only the recorder is busy where reports and trials cost next to nothing: 0.14 calls of 10 ms in half a core.
    assert carried_by_driver(replace(COSTS, report=0.0, trial=0.0), 1.0, 100.0) == int(0.5 / 0.0014)
    assert carried_by_driver(COSTS, 10.0, 1000.0) > carried_by_driver(COSTS, 1.0, 100.0)


def test_a_server_carries_what_its_calls_leave_it() -> None:
    assert carried_by_server(COSTS, 0.03, 1.0, 100.0) == int(0.7 / 0.0042)


def test_what_broke_is_no_measure() -> None:
    broken = replace(CASE, n_workers=256)
    assert busiest_unbroken([replace(CASE, n_workers=16, n_reports=160), CASE, broken]) == CASE
    with pytest.raises(ValueError, match="measure smaller ones"):
        busiest_unbroken([broken])


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    result = ScaleResult(title="Loads", cases=(CASE,), machine="a machine", date="2026-01-01")
    result.write(tmp_path / "loads.json")
    assert ScaleResult.read(tmp_path / "loads.json") == result
    parts = scaling_parts(result, result)
    assert "a machine; 2026-01-01." in parts["driver_scale"]
    row = "| PostgreSQL | 64 | 64/s | 62.0/s | 2 ms | 50 ms | 60.0/s | 10 ms | 0.50 | 0.10 | 0.30 |"
    assert cases_table([CASE]).splitlines()[2] == row


def test_the_page_says_what_the_results_say() -> None:
    page, parts = PAGE.read_text(encoding="utf-8"), read_scaling()
    assert filled(page, parts) == page
    for name in parts:
        assert page.count(f"<!-- measured: {name} -->\n") == page.count(f"<!-- end of {name} -->") == 1


def test_the_plot_has_a_line_of_each_place(tmp_path: Path) -> None:
    cases = [replace(CASE, place=place, n_workers=n) for place in ("PostgreSQL", "MLflow, 1 process") for n in (1, 64)]
    for name in ("one.svg", "other.svg"):
        write_scaling_plot(cases, tmp_path / name)
    svg = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert svg == (tmp_path / "other.svg").read_text(encoding="utf-8")
    assert "PostgreSQL" in svg
    assert "MLflow, 1 process" in svg


def test_a_load_is_workers_and_seconds() -> None:
    assert load_of("256:0.5") == (256, 0.5)
    assert load_of("64") == (64, 1.0)


@pytest.mark.parametrize("text", ["", "0:1", "64:0", "64:-1", "many:1", "64:1:1", "64:nan", "64:inf"])
def test_what_is_no_load_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="not workers:seconds"):
        load_of(text)
