"""docs/performance.md: what was measured stands between its markers, and nothing else of the page changes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.page import PAGE, SCRIPTS, filled, measured_parts, read_results, targets_table
from benchmarks.plot import write_plot
from benchmarks.results import Result, Row, timed

RACE = Result(
    title="A race",
    rows=(
        timed("sweeper", [1.0, 2.0, 3.0], ratio=0.5, against="peer", target="ratio <= 0.6"),
        timed("peer", [4.0]),
        Row(name="of it", median=3.0, unit="MiB", n=1, target="median <= 2"),
    ),
    machine="a machine",
    date="2026-01-01",
    load=0.5,
    notes=("Once only, \\1.",),
)
PLACE = "before\n<!-- measured: tracking -->\nold\n<!-- end of tracking -->\nafter\n"


def test_what_was_measured_stands_between_its_markers() -> None:
    page = filled(PLACE, measured_parts({"tracking": RACE}) | {"all": ""})
    head, _, rest = page.partition("<!-- measured: tracking -->\n")
    part, _, tail = rest.partition("<!-- end of tracking -->")
    assert (head, tail) == ("before\n", "\nafter\n")
    assert "| sweeper | 2 s (1 s–3 s) |" in part
    assert "Once only, \\1." in part
    assert "a machine; 2026-01-01, load 0.5." in part
    assert filled(page, measured_parts({"tracking": RACE}) | {"all": ""}) == page


def test_what_was_not_measured_leaves_nothing() -> None:
    assert filled(PLACE, measured_parts({})) == PLACE.replace("old\n", "")


def test_a_part_without_a_place_is_said() -> None:
    with pytest.raises(ValueError, match="no place for memory"):
        filled(PLACE, {"memory": "a table"})


def test_the_table_has_what_something_was_wanted_of() -> None:
    lines = targets_table({"tracking": RACE}).splitlines()[2:]
    assert [line.split(" | ")[1::4] for line in lines] == [["sweeper", "yes |"], ["of it", "no |"]]


def test_the_figure_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.svg", "other.svg"):
        write_plot([RACE], tmp_path / name)
    svg = (tmp_path / "one.svg").read_text()
    assert svg == (tmp_path / "other.svg").read_text()
    assert "A race" in svg
    assert "peer" in svg
    write_plot([], tmp_path / "one.svg")
    assert not (tmp_path / "one.svg").exists()


def test_the_page_says_what_the_results_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page, measured_parts(read_results())) == page
    for name in ("all", *SCRIPTS):
        assert page.count(f"<!-- measured: {name} -->\n") == page.count(f"<!-- end of {name} -->") == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_there(name: str) -> None:
    assert importlib.util.find_spec(f"benchmarks.{SCRIPTS[name].module or name}") is not None
