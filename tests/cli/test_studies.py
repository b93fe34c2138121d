"""check, preview, schema."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.study.schema import study_schema
from tests.cli.conftest import STUDY, Run
from tests.study.conftest import PLAIN

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    return workspace


def test_check_lists_all_faults_of_all_files(folder: Path) -> None:
    (folder / "a.yaml").write_text(PLAIN.replace("epochs: 3", "epochs: 0").replace("adam", "adm"))
    (folder / "b.yaml").write_text(PLAIN)
    (folder / "c.yaml").write_text(PLAIN.replace("batch_size: 32", "batch: 32"))
    result = runner.invoke(app, ["check", "a.yaml", "b.yaml", "c.yaml", "d.yaml"])
    assert result.exit_code == 2
    assert result.stdout == "b.yaml: ok: plain, 0 distributions, 2 corners checked\n"
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "a.yaml:6",
        "a.yaml:8",
        "c.yaml:5",
        "c.yaml:7",
        "d.yaml",
        "5 faults",
    ]


def test_check_with_an_override(folder: Path) -> None:
    (folder / "a.yaml").write_text(PLAIN.replace("epochs: 3", "epochs: 0"))
    assert runner.invoke(app, ["check", "a.yaml", "--set", "trial.training.epochs=1"]).exit_code == 0


def test_check_says_what_it_could_not_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWEEPER_DATA", raising=False)
    (folder / "a.yaml").write_text(PLAIN.replace("name: digits", "name: folder, path: there, image_size: 8"))
    result = runner.invoke(app, ["check", "a.yaml"])
    assert result.exit_code == 0, result.output
    (_, said) = result.stdout.splitlines()
    assert said == f"  not checked: its classes and pictures, since there is no folder {folder / 'there'}"


def test_faults_of_a_file_begin_with_its_name_for_editors(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty" / "a.yaml").write_text(PLAIN.replace("epochs: 3", "epochs: 0"))
    assert run("start", "a.yaml").stderr.startswith("a.yaml:6: trial.training.epochs: given 0; ")


def test_schema_prints_the_schema() -> None:
    result = runner.invoke(app, ["schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == study_schema()


def test_preview_shows_draws_sizes_and_times_and_writes_nothing(folder: Path) -> None:
    (folder / "a.yaml").write_text(STUDY)
    arguments = ["preview", "a.yaml", "-n", "3", "--devices", "cpu", "--workers", "2", "--set", "budget.trials=10"]
    start = time.perf_counter()
    result = runner.invoke(app, [*arguments, "--json"])
    seconds = time.perf_counter() - start
    assert result.exit_code == 0, result.output
    preview = json.loads(result.stdout)
    assert (preview["study"], preview["n_trials"], preview["n_workers"]) == ("small", 10, 2)
    assert len(preview["trials"]) == 3
    for trial in preview["trials"]:
        assert trial["n_parameters"] == (64 * 16 + 16) + (16 * 10 + 10)
        assert 0.0 < trial["seconds"] < seconds
        assert trial["params"]["training.optimizer"] in ("adam", "sgd")
    mean = sum(trial["seconds"] for trial in preview["trials"]) / 3
    assert preview["seconds_per_trial"] == pytest.approx(mean)
    assert preview["seconds_in_all"] == pytest.approx(mean * 10 / 2)

    table = runner.invoke(app, arguments)
    assert table.exit_code == 0
    assert re.search(r"^model parameters +1,210 +1,210 +1,210$", table.stdout, re.MULTILINE)
    assert "10 trials on 2 workers (cpu): about " in table.stdout
    assert sorted(path.name for path in folder.rglob("*")) == ["a.yaml"]
    assert not list(folder.parent.glob("cache/**/*"))
