from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import STUDY, Run

pytestmark = pytest.mark.xdist_group("cli")


def test_a_study_file(run: Run, tmp_path: Path) -> None:
    study = STUDY.replace("{name: digits}", "{name: digits, noise: {'3': {'5': 20}}, augment: [vertical_flip]}")
    (tmp_path / "study.yaml").write_text(study)
    done = run("data", "show", "study.yaml", folder=tmp_path)
    assert done.code == 0
    assert "small: digits, 1×8×8" in done.stdout
    assert done.stdout.splitlines()[1].split() == [
        "class",
        *(["train", "validation", "test"][i // 2] for i in range(6)),
    ]
    assert done.stdout.splitlines()[2].split() == ["given", "true"] * 3
    for name in ("pictures.png", "augmentations.png"):
        path = Path("reports", "data", "small", name)
        assert f"written: {path}" in done.stdout
        assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")


def test_json(run: Run, tmp_path: Path) -> None:
    done = run("data", "show", "digits", "--set", "noise={'3': {'5': 20}}", "--out", "x", "--json", folder=tmp_path)
    assert done.code == 0
    data = json.loads(done.stdout)
    train, validation = data["parts"]["train"], data["parts"]["validation"]
    assert train["n"] == 1221
    given, true = (train[kind][3] + validation[kind][3] for kind in ("given", "true"))
    assert true - given == 20
    assert data["files"] == ["x/pictures.png"]
    assert (tmp_path / "x" / "pictures.png").exists()


def test_numbers_instead_of_classes(run: Run) -> None:
    done = run("data", "show", "functions")
    assert "train 40,800, validation 7,200, test 12,000 vectors; outputs y_0, y_1, y_2" in done.stdout


def test_bad_input(run: Run) -> None:
    assert run("data", "show", "digit").code == 2
    assert "given 'val'; allowed: train, validation, test" in run("data", "show", "digits", "--part", "val").stderr
