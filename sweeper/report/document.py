"""A report before it has a form: parts, made of sections, made of blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sweeper.errors import InputError, SectionError
from sweeper.report.blocks import Block, Figure, Note, Picture, Row, Section, Table
from sweeper.report.direction import order_names
from sweeper.report.effect import resolve_parameter
from sweeper.report.format import hide_paths
from sweeper.report.overview import build_overview
from sweeper.report.sections import SECTIONS
from sweeper.report.standings import rank_studies
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunReader, StudyRecord

__all__ = ["BuiltSection", "Document", "Item", "Part", "build_document"]


@dataclass(frozen=True, kw_only=True)
class BuiltSection:
    """A section with its blocks."""

    key: str
    title: str
    blocks: Sequence[Block]
    problem: str = ""
    """Why it is missing, where another package has it and failed."""


def _build(section: Section, data: StudyData) -> BuiltSection:
    try:
        return BuiltSection(key=section.key, title=section.title, blocks=section.build(data))
    except SectionError as error:
        note = Note(text=f"This section is missing: {error}.", level="warning")
        return BuiltSection(key=section.key, title=section.title, blocks=[note], problem=str(error))


@dataclass(frozen=True, kw_only=True)
class Item:
    """A table, figure or picture, and where it is kept."""

    id: str
    """In the page and in LaTeX: unique, letters, digits, `_` and `-`."""
    stem: str
    """Path of its files without their folder and their suffix: `trials`, or `STUDY/trials` of several studies."""
    block: Table | Figure | Picture
    narrow: bool
    """A figure that stands beside others, three in a line."""

    @property
    def data(self) -> str:
        """Its CSV file, or the PNG file of a picture, relative to the report."""
        return f"data/{self.stem}.{'png' if isinstance(self.block, Picture) else 'csv'}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The overview, or one study."""

    key: str
    """Prefix of ids in the page: unique, letters, digits and `-`."""
    title: str
    folder: str
    """Within the folders of CSV files, figures and tables, with a `/` at its end; empty for the only study."""
    sections: Sequence[BuiltSection]

    def items(self, section: BuiltSection) -> Iterator[Item]:
        """The tables, figures and pictures of one of its sections."""
        for block in section.blocks:
            for item in block.items if isinstance(block, Row) else (block,):
                if isinstance(item, Table | Figure | Picture):
                    name = item.key if item.key.startswith(section.key) else f"{section.key}-{item.key}"
                    yield Item(
                        id=f"{self.key}-{section.key}-{item.key}",
                        stem=f"{self.folder}{name}",
                        block=item,
                        narrow=isinstance(block, Row) and block.columns == 3,
                    )


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report."""

    title: str
    parts: Sequence[Part]
    names: tuple[str, ...] = ()
    """The user's names and words that run from right to left, as of `order_names`."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why sections are missing that other packages have; each reason once."""
        reasons = [section.problem for part in self.parts for section in part.sections if section.problem]
        return tuple(dict.fromkeys(reasons))

    def items(self) -> Iterator[Item]:
        """All tables, figures and pictures."""
        for part in self.parts:
            for section in part.sections:
                yield from part.items(section)


def _names(data: StudyData) -> Iterator[str]:
    """What the user may have named in a script of their own."""
    yield data.record.name
    yield hide_paths(data.study.description)
    yield from data.class_names
    yield from data.output_names
    for params in data.params.values():
        yield from (hide_paths(value) for value in params.values() if isinstance(value, str))


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "study"


def build_document(
    records: Sequence[StudyRecord],
    reader: RunReader,
    *,
    top: int,
    by: str | None = None,
    sections: Sequence[Section] = SECTIONS,
    on_item: Callable[[Item], None] = lambda item: None,
) -> Document:
    """Compute a report of one study, or of several: then an overview comes first, and the studies by their rank.

    Args:
        records: The studies.
        reader: Where their histories and artifacts are read from.
        top: How many of the best trials are shown in detail, at least 1.
        by: The parameter by which trials are compared; None to choose one.
        sections: What is shown of each study, in this order.
        on_item: Told of each item as soon as its section is computed, in any order.

    Raises:
        InputError: The definition stored with a study cannot be read, or the parameter `by` varied in none of them.
    """
    studies = rank_studies([StudyData(record, reader, top=top, by=by) for record in records])
    if by is not None and all(resolve_parameter(data, by) is None for data in studies):
        varied = ", ".join(dict.fromkeys(path for data in studies for path in data.factors)) or "nothing"
        raise InputError(f"no parameter that varied is called {by!r}; varied has: {varied}")
    parts: list[Part] = []
    several = len(studies) != 1
    if several:
        blocks = build_overview(studies)
        overview = BuiltSection(key="overview", title="Ranking", blocks=blocks)
        parts.append(Part(key="overview", title="Overview", folder="", sections=[overview]))
        for item in parts[0].items(overview):
            on_item(item)
    taken: set[str] = set()
    for index, data in enumerate(studies, start=1):
        slug = _slug(data.record.name)
        slug = slug if slug.lower() not in taken else f"{slug}-{index}"
        taken.add(slug.lower())
        folder = f"{slug}/" if several else ""
        part = Part(key=f"s{index}", title=data.record.name, folder=folder, sections=())
        built: dict[int, BuiltSection] = {}
        for place in sorted(range(len(sections)), key=lambda place: sections[place].is_long):
            built[place] = _build(sections[place], data)
            for item in part.items(built[place]):
                on_item(item)
        parts.append(replace(part, sections=[built[place] for place in sorted(built) if built[place].blocks]))
    title = f"{len(studies)} studies" if several else studies[0].record.name
    return Document(title=title, parts=parts, names=order_names(name for data in studies for name in _names(data)))
