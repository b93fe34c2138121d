"""Figures drawn by a process beside this one: the same files, whatever becomes of it, and it never stays."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import psutil
import pytest

from sweeper.report.blocks import Figure
from sweeper.report.drawer import Drawer
from sweeper.report.drawing import draw_figure
from sweeper.report.theme import blank_figure


def _figure(index: int) -> Figure:
    plotly = blank_figure(x="epoch", y="loss")
    plotly.add_trace(go.Scatter(x=[1, 2, 3], y=[3.0, 2.0, float(index)], name=f"line {index}"))
    return Figure(key=f"f{index}", title=f"Figure {index}", description="A line.", figure=plotly, data=pd.DataFrame())


def _process(drawer: Drawer) -> psutil.Process:
    assert drawer._process is not None
    return psutil.Process(drawer._process.pid)


def test_files_are_those_that_are_drawn_here() -> None:
    figures = [_figure(index) for index in range(3)]
    with Drawer(["svg", "pdf"]) as drawer:
        process = _process(drawer)
        for index, figure in enumerate(figures[:2]):
            drawer.begin(figure, narrow=index == 1)
        # The last was not begun.
        drawn = [drawer.draw(figure, narrow=index == 1) for index, figure in enumerate(figures)]
        assert drawer._drawn is not None
        assert len(drawer._drawn) == 2
    assert drawn == [draw_figure(f, ["svg", "pdf"], narrow=index == 1) for index, f in enumerate(figures)]
    assert not process.is_running()


def test_a_process_that_is_killed_costs_no_figure() -> None:
    figure = _figure(1)
    with Drawer(["svg"]) as drawer:
        drawer.begin(figure, narrow=False)
        process = _process(drawer)
        process.kill()
        process.wait()
        drawer.begin(_figure(2), narrow=False)
        assert drawer.draw(figure, narrow=False) == draw_figure(figure, ["svg"])
        assert drawer._drawn == {}


def test_a_figure_that_cannot_be_drawn_is_said_here(caplog: pytest.LogCaptureFixture) -> None:
    plotly = go.Figure(go.Scatter3d(x=[1], y=[1], z=[1]))
    figure = Figure(key="space", title="Space", description="A point.", figure=plotly, data=pd.DataFrame())
    with Drawer(["svg"]) as drawer:
        drawer.begin(figure, narrow=False)
        assert drawer.draw(figure, narrow=False) == {}
    assert "space" in caplog.text


def test_the_process_ends_with_an_interrupt() -> None:
    processes = []

    def interrupted() -> None:
        with Drawer(["svg"]) as drawer:
            processes.append(_process(drawer))
            drawer.begin(_figure(1), narrow=False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not processes[0].is_running()


def test_the_process_ends_with_one_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(
        "import sys, time\n"
        "from sweeper.report.drawer import Drawer\n"
        "with Drawer(['svg']) as drawer:\n"
        "    print(drawer._process.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    owner = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        process = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
        owner.wait()
    deadline = time.monotonic() + 60
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_without_formats_there_is_no_process() -> None:
    with Drawer([]) as drawer:
        drawer.begin(_figure(1), narrow=False)
        assert drawer._process is None
