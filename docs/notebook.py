"""The notebook of the documentation: executing it, and the page that shows it.

    python docs/notebook.py

executes docs/how-to/notebook.ipynb in an empty folder, keeps its outputs in it, and writes the page and its pictures.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
NOTEBOOK = DOCS / "how-to" / "notebook.ipynb"
PAGE = NOTEBOOK.with_suffix(".md")
IMAGES = DOCS / "images"


def execute(folder: Path) -> dict[str, Any]:
    """The notebook with its outputs, executed in a folder. Raises nbclient's CellExecutionError."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.clear()  # when each cell was executed
    return json.loads(nbformat.writes(notebook))  # type: ignore[no-any-return]


def page_of(notebook: dict[str, Any]) -> str:
    """The page: text as it is, code with what it gives below it."""
    parts = [
        "<!-- Generated from notebook.ipynb by docs/notebook.py; change that. -->",
        *(part for cell in notebook["cells"] for part in _parts(cell, notebook)),
    ]
    return "\n\n".join(parts) + "\n"


def _parts(cell: dict[str, Any], notebook: dict[str, Any]) -> Iterator[str]:
    source = _text(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/svg+xml" in data:
            name = picture_name(notebook, output)
            yield f"![{_text(data['text/plain'])}](../images/{name})"
        elif "text/html" in data:
            yield f'<div class="output">{_one_line(_text(data["text/html"]))}</div>'
        elif "text/plain" in data or output["output_type"] == "stream":
            text = _text(data.get("text/plain", output.get("text", "")))
            yield f"```text\n{text.rstrip()}\n```"


def pictures_of(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs that are pictures, in their order."""
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", ()))
    return [output for output in outputs if "image/svg+xml" in output.get("data", {})]


def picture_name(notebook: dict[str, Any], output: dict[str, Any]) -> str:
    """Of its file in docs/images/."""
    index = next(i for i, each in enumerate(pictures_of(notebook), start=1) if each is output)
    return f"notebook-{index}.svg"


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _one_line(html: str) -> str:
    """HTML without blank lines, at which Markdown would end it, and without styles, which are the notebook's own."""
    before, _, rest = html.partition("<style scoped>")
    html = before + rest.partition("</style>")[2] if rest else html
    return "\n".join(line.strip() for line in html.splitlines() if line.strip())


def main() -> None:
    """Execute the notebook and write everything that shows it."""
    os.environ.setdefault("PYTHONPATH", str(DOCS.parent))
    with tempfile.TemporaryDirectory() as folder:
        notebook = execute(Path(folder))
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        if folder in text:
            sys.exit("an output names the folder that the notebook was executed in")
    NOTEBOOK.write_text(text, encoding="utf-8")
    PAGE.write_text(page_of(notebook), encoding="utf-8")
    for old in IMAGES.glob("notebook-*.svg"):
        old.unlink()
    for output in pictures_of(notebook):
        svg = _text(output["data"]["image/svg+xml"])
        (IMAGES / picture_name(notebook, output)).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
