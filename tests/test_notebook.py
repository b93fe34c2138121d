"""The notebook of the documentation runs, and the page and pictures that show it are its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import notebook as docs_notebook
import pytest

from tests.sweep.conftest import cache_dir

__all__ = ["cache_dir"]  # a fixture

DOCS = Path(__file__).resolve().parent.parent / "docs"


def _outputs(notebook: dict[str, Any]) -> list[list[tuple[str, ...]]]:
    """What kinds of output each cell has."""
    return [[tuple(sorted(o.get("data", {}))) for o in cell.get("outputs", ())] for cell in notebook["cells"]]


def _text(notebook: dict[str, Any], index: int) -> str:
    data = notebook["cells"][index]["outputs"][0]["data"]
    return "".join(data.get("text/html", data["text/plain"]))


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(docs_notebook.NOTEBOOK.read_text(encoding="utf-8"))
    return notebook


def test_the_notebook_runs(
    stored: dict[str, Any], tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SWEEPER_DATA", "SWEEPER_STORAGE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEPER_CACHE", str(cache_dir))
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    folder = tmp_path / "notebook"
    folder.mkdir()
    executed = docs_notebook.execute(folder)
    assert _outputs(executed) == _outputs(stored)
    codes = [i for i, cell in enumerate(executed["cells"]) if cell["cell_type"] == "code"]
    study, sweep, runs, best = codes[:4]
    assert "0.0001 to 0.03, logarithmic" in _text(executed, study)
    assert "6 of 6" in _text(executed, sweep)
    assert len(re.findall("<tr>", _text(executed, runs))) == 6
    assert "COMPLETE" in _text(executed, best)
    assert "7 of 7" in _text(executed, codes[-2])
    predicted, truth = re.findall(r"\[.*?\]", _text(executed, codes[-1]), flags=re.DOTALL)
    right = [a == b for a, b in zip(re.findall(r"\d", predicted), re.findall(r"\d", truth), strict=True)]
    assert sum(right) >= 8


def test_the_page_shows_the_notebook(stored: dict[str, Any]) -> None:
    assert docs_notebook.PAGE.read_text(encoding="utf-8") == docs_notebook.page_of(stored), (
        "run: python docs/notebook.py"
    )
    pictures = docs_notebook.pictures_of(stored)
    assert len(pictures) == 2
    for output in pictures:
        shown = (docs_notebook.IMAGES / docs_notebook.picture_name(stored, output)).read_text(encoding="utf-8")
        assert shown == "".join(output["data"]["image/svg+xml"])
