"""The way in: tracked studies to a folder with a page, Markdown, LaTeX and CSV files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sweeper.errors import InputError
from sweeper.garbage import uncollected
from sweeper.report.blocks import Figure, Section
from sweeper.report.document import Item, build_document
from sweeper.report.drawer import Drawer
from sweeper.report.files import DEFAULT_FORMATS, SUFFIXES, Format, build_files, drawn_formats
from sweeper.report.sections import SECTIONS
from sweeper.study.names import check_name
from sweeper.tracking.records import RunReader, StudyRecord

__all__ = ["ReportFiles", "default_folder", "write_report"]

_MANIFEST = ".sweeper-report.json"
"""Names the files of a report, so that the next one into the same folder removes those it no longer has."""


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """What was written."""

    folder: Path
    """Where they are."""
    paths: tuple[Path, ...]
    """All of them, sorted."""
    problems: tuple[str, ...] = ()
    """Why sections are missing that other packages have."""

    @property
    def page(self) -> Path:
        """`index.html`: the whole report in one file."""
        return self.folder / "index.html"

    @property
    def markdown(self) -> Path:
        """`report.md`."""
        return self.folder / "report.md"

    @property
    def latex(self) -> Path:
        """`report.tex`."""
        return self.folder / "report.tex"

    @property
    def data(self) -> tuple[Path, ...]:
        """One CSV file for each table and figure, one PNG file for each picture."""
        return tuple(path for path in self.paths if path.suffix in (".csv", ".png"))

    @property
    def first(self) -> Path:
        """What a reader opens first: the page, else the Markdown, else the LaTeX document, else the folder of data."""
        documents = [path for path in (self.page, self.markdown, self.latex) if path in self.paths]
        return documents[0] if documents else self.folder / "data"


def _write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        # mkstemp creates files for the owner alone; a report is for others too.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _earlier_files(out: Path) -> set[str]:
    """Files of an earlier report in this folder, relative to it; none that lies elsewhere or has another suffix."""
    try:
        listed = json.loads((out / _MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    paths = [PurePosixPath(name) for name in listed if isinstance(name, str)]
    return {str(p) for p in paths if not p.is_absolute() and ".." not in p.parts and p.suffix in SUFFIXES}


def _remove(out: Path, names: set[str]) -> None:
    for name in sorted(names):
        path = out / name
        path.unlink(missing_ok=True)
        while path.parent != out and path.parent.is_dir() and not any(path.parent.iterdir()):
            path = path.parent
            path.rmdir()


def default_folder(names: Sequence[str]) -> Path:
    """Where the report of some studies goes: `reports/NAME`, in the current folder.

    Raises:
        InputError: A name, which may come from a database that others write, cannot be part of a path.
    """
    for name in names:
        try:
            check_name(name)
        except ValueError as error:
            raise InputError(f"name of a study: {error}; say where the report goes with --out") from None
    return Path("reports") / "+".join(names)


@uncollected()
def write_report(
    records: Sequence[StudyRecord],
    reader: RunReader,
    out: Path,
    *,
    top: int = 5,
    by: str | None = None,
    sections: Sequence[Section] = SECTIONS,
    formats: Sequence[Format] = DEFAULT_FORMATS,
) -> ReportFiles:
    """Write the report of one or several studies: a page, Markdown with figures, LaTeX, and CSV of all tables.

    The same runs give the same bytes, in whatever order they come. Files of an earlier report in `out` are replaced,
    and removed where the new report does not have them; other files stay.

    Args:
        records: The studies, at least one.
        reader: Where their histories and artifacts are read from.
        out: Folder of the report; created with its parents.
        top: How many of the best trials are shown in detail, at least 1.
        by: The parameter by which trials are compared, by its path or the end of it; by default the only one that was
            searched, else the one that explains most of the values.
        sections: What is shown of each study, in this order.
        formats: Which forms are written; see `sweeper.report.files.build_files`.

    Raises:
        InputError: No study was given, a study's definition cannot be read, no parameter `by` varied, or the folder
            cannot be written.
        TrackingError: The tracker is out of reach.
    """
    if not records:
        raise InputError("a report needs at least one study; none was given")
    with Drawer(drawn_formats(formats)) as drawer:

        def begin(item: Item) -> None:
            if isinstance(item.block, Figure):
                drawer.begin(item.block, narrow=item.narrow)

        document = build_document(records, reader, top=top, by=by, sections=sections, on_item=begin)
        contents = build_files(document, formats, drawer)
    try:
        out.mkdir(parents=True, exist_ok=True)
        earlier = _earlier_files(out)
        # Listed before they are written: a report that is cut short leaves no file that the next one does not know.
        _write(out / _MANIFEST, json.dumps({"files": sorted(earlier | set(contents))}, indent=1) + "\n")
        for name, content in contents.items():
            _write(out / name, content)
        _remove(out, earlier - set(contents))
        _write(out / _MANIFEST, json.dumps({"files": sorted(contents)}, indent=1) + "\n")
    except OSError as error:
        raise InputError(
            f"the report cannot be written to {out}: {error.strerror or error}; give another folder"
        ) from error
    paths = tuple(out / name for name in sorted(contents))
    return ReportFiles(folder=out, paths=paths, problems=document.problems)
