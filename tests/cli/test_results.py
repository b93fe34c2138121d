"""runs, best, report, status: tables for people, JSON and CSV for scripts."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pandas as pd
import pytest
from rich.console import Console

import sweeper
from sweeper.cli.results import _varied
from sweeper.tracking.reading import open_reader
from sweeper.tracking.workspace import Workspace
from tests.cli.conftest import Run
from tests.tracking.test_runs import record
from tests.tracking.test_runs import study as study_of

pytestmark = pytest.mark.xdist_group("cli")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(folder: Path, arguments: list[str], columns: int) -> list[str]:
    """The lines that a terminal of so many columns shows."""
    reading, writing = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "sweeper", *arguments], cwd=folder, env=env, stdout=writing, stderr=writing
    ) as process:
        os.close(writing)
        output = b""
        while True:
            try:
                chunk = os.read(reading, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            output += chunk
    os.close(reading)
    assert process.returncode == 0
    return [ESCAPES.sub("", line).rstrip("\r") for line in output.decode().split("\n") if line.strip()]


@pytest.mark.parametrize("arguments", [["best"], ["runs"], ["runs", "--json"], ["status"], ["status", "--json"]])
def test_lists_of_runs_and_studies_import_nothing_heavy(swept: Path, arguments: list[str]) -> None:
    code = f"""
import json, sys
sys.argv = ["sweeper", {arguments[0]!r}, "small", *{arguments[1:]!r}]
from sweeper.cli.main import main
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=swept, capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert "sqlalchemy" in modules
    found = {"torch", "mlflow", "optuna", "alembic", "pandas", "numpy", "plotly", "sklearn"} & modules
    assert not found


def test_parameters_that_vary_are_found_in_one_pass() -> None:
    class Counted(dict[str, int]):
        n = 0

        def items(self) -> Any:
            Counted.n += 1
            return super().items()

    runs = [record(number, 0.5, params=Counted(same=1, lr=number)) for number in range(100)]
    assert _varied(study_of(*runs)) == {"lr"}
    assert Counted.n == 100


def test_runs_as_json(run: Run, swept: Path) -> None:
    runs = json.loads(run("runs", "small", "--json", folder=swept).stdout)
    assert [run["number"] for run in runs] == [0, 1, 2, 3]
    for run in runs:
        assert run["state"] == "COMPLETE"
        assert run["value"] == run["metrics"]["val/accuracy"]
        assert run["params"]["model.hidden"] == [16]
        assert run["params"]["training.epochs"] == 1
        assert run["params"]["data.normalize"] is True
        assert isinstance(run["params"]["training.optimizer.lr"], float)


def test_runs_as_csv_have_types_and_agree_with_python(run: Run, swept: Path) -> None:
    frame = pd.read_csv(io.StringIO(run("runs", "small", "--csv", folder=swept).stdout))
    assert frame["number"].tolist() == [0, 1, 2, 3]
    assert frame["number"].dtype.kind == "i"
    assert frame["value"].dtype.kind == frame["training.optimizer.lr"].dtype.kind == "f"
    assert frame["data.normalize"].dtype.kind == "b"
    assert frame["training.epochs"].dtype.kind == "i"
    assert set(frame["training.optimizer.name"]) <= {"adam", "sgd"}
    assert frame["model.hidden"].map(json.loads).tolist() == [[16]] * 4
    assert pd.to_datetime(frame["start"]).dt.year.min() > 2000
    tracked = sweeper.runs("small", workspace=Workspace.from_environment(swept, {}))
    assert tracked["value"].tolist() == pytest.approx(frame["value"].tolist())
    assert list(tracked.columns) == list(frame.columns)


def test_best_are_the_best_in_order(run: Run, swept: Path) -> None:
    runs = json.loads(run("runs", "small", "--json", folder=swept).stdout)
    best = json.loads(run("best", "small", "--top", "2", "--json", folder=swept).stdout)
    assert [run["value"] for run in best] == sorted((run["value"] for run in runs), reverse=True)[:2]
    table = run("best", "small", "-k", "2", folder=swept).stdout.splitlines()
    assert [int(line.split()[0]) for line in table[-2:]] == [run["number"] for run in best]


def test_a_real_terminal_is_seen_as_one(swept: Path) -> None:
    lines = on_terminal(swept, ["status"], 40)
    assert all(len(line) <= 40 for line in lines)
    assert "no room for" in " ".join(lines)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("arguments", [["best", "small"], ["runs", "small"], ["status"]])
def test_a_table_fits_its_terminal_without_broken_cells(
    arguments: list[str], columns: int, run: Run, swept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = run(*arguments, folder=swept).stdout
    terminal = Console(force_terminal=True, color_system=None, width=columns, highlight=False)
    with monkeypatch.context() as patch:
        patch.setattr("sweeper.cli.output.console", lambda: terminal)
        lines = [line for line in run(*arguments, folder=swept).stdout.splitlines() if line.strip()]
    rule = next(i for i, line in enumerate(lines) if set(line) == {"─"})
    assert all(len(line) <= columns for line in lines[: rule + 1])
    n_rows = 1 if arguments == ["status"] else 4
    rows = lines[rule + 1 : rule + 1 + n_rows]
    assert all(len(row) <= columns for row in rows)
    rest = " ".join(lines[rule + 1 + n_rows :])
    if arguments[0] == "status":
        assert rows[0].split()[:3] == ["small", "finished", "4"]
        assert ("--json has all" in rest) == (columns < 80)
        return
    assert all(row.split()[0].isdecimal() for row in rows)
    assert "momentum" in everything
    assert "no room" not in everything
    assert ("momentum" in " ".join(lines[:rule])) == ("momentum" not in rest)
    assert rest == "" or re.fullmatch(r"no room for .*; --csv has all", rest)
    assert columns < 120 or rest == ""


def test_status_as_json(run: Run, swept: Path) -> None:
    (status,) = json.loads(run("status", "--json", folder=swept).stdout)
    assert (status["name"], status["state"], status["n_complete"], status["n_left"]) == ("small", "finished", 4, 0)


def test_report_says_where_it_is(run: Run, swept: Path) -> None:
    done = run("report", "small", "--out", "out", folder=swept)
    assert done.code == 0, done.stderr
    page = Path(done.stdout.removeprefix("report: ").strip())
    assert (swept / page).is_file()


def test_report_in_a_form_that_is_none(run: Run, swept: Path) -> None:
    done = run("report", "small", "--format", "pdf", "--out", "none", folder=swept)
    assert done.code == 2
    assert "a report has no form 'pdf'; forms are html, markdown, latex, csv" in done.stderr
    assert not (swept / "none").exists()


def test_report_with_a_section_of_another_package_that_fails(
    run: Run, swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faulty.py").write_text("def build(data):\n    raise LookupError('no such thing')\n")
    info = tmp_path / "faulty-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[sweeper.report_sections]\nmine = faulty:build\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = run("report", "small", "--section", "study", "--section", "mine", "-f", "html", "-o", "mine", folder=swept)
    assert done.code == 1
    assert "section 'mine' of faulty 0.3: LookupError: no such thing (faulty.py, line 2)" in done.stderr
    assert done.stdout == f"report: {Path('mine') / 'index.html'}\n"
    assert "This section is missing" in (swept / "mine" / "index.html").read_text()


def test_report_attached_to_the_run_of_its_study(run: Run, swept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "attached"
    done = run("report", "small", "--section", "trials", "--out", str(folder), "--attach", folder=swept)
    assert (done.code, done.stderr) == (0, "")
    record = open_reader(f"sqlite:///{swept}/mlflow.db").read_study("small")
    assert f"attached to run {record.parent_run_id}, under report" in done.stdout
    attached = Path(url2pathname(urlparse(record.artifact_uri).path)) / "report"
    written = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = {path.relative_to(attached): path.read_bytes() for path in attached.rglob("*") if path.is_file()}
    assert found == {path: content for path, content in written.items() if not path.name.startswith(".")}
    assert Path("index.html") in found
    done = run("report", "small", "small", "--attach", folder=swept)
    assert done.code == 2
    assert "--attach: given with 2 studies; allowed: with one" in done.stderr
