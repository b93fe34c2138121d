"""The example package, installed as a user would, and swept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweep.conftest import CommandLine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sweeper-shapes"


@pytest.fixture
def installed(tmp_path: Path, command_line: CommandLine) -> CommandLine:
    """The command line, beside which the example package is installed."""
    shutil.copytree(EXAMPLE, tmp_path / "source")
    site = tmp_path / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
            *("--disable-pip-version-check", "--target", str(site), str(tmp_path / "source")),
        ],
        check=True,
    )
    path = os.environ.get("PYTHONPATH")
    command_line.environment["PYTHONPATH"] = f"{site}{os.pathsep}{path}" if path else str(site)
    shutil.copy(EXAMPLE / "study.yaml", tmp_path / "study.yaml")
    return command_line


def test_an_installed_package_is_found_checked_documented_and_swept(installed: CommandLine) -> None:
    schema = json.loads(installed.run("schema"))
    assert schema["$defs"]["ResmlpModelConfig"]["properties"]["width"]["description"] == "Width of every layer."
    assert "resmlp" in json.dumps(schema["$defs"]["TrialConfig"]["properties"]["model"])
    assert schema["$defs"]["ShapesDataConfig"]["properties"]["grain"]["default"] == 60.0

    faulty = installed.run("check", "study.yaml", "--set", "trial.data.grain=-1", exit_code=2)
    assert "trial.data.grain: given -1; allowed: at least 0" in faulty

    assert "4 done" in installed.run("start", "study.yaml", "--workers", "1", "--quiet")
    runs = json.loads(installed.run("runs", "shapes-resmlp", "--json"))
    assert len(runs) == 4
    assert {run["params"]["model.name"] for run in runs} <= {"resmlp", "logistic"}
    tags = [run["tags"]["sweeper.plugins"] for run in runs]
    assert all("dataset shapes (sweeper-shapes 0.1.0)" in tag for tag in tags)
    installed.run("report", "shapes-resmlp", "--format", "html")
