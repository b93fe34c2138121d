"""A report before it has a form: parts, made of sections, made of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweeper.errors import InputError
from sweeper.report.blocks import Block, Figure, Picture, Row, Section, Table
from sweeper.report.effect import resolve_parameter
from sweeper.report.overview import build_overview
from sweeper.report.sections import SECTIONS
from sweeper.report.standings import rank_studies
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunReader, StudyRecord

__all__ = ["BuiltSection", "Document", "Part", "build_document"]


@dataclass(frozen=True, kw_only=True)
class BuiltSection:
    """A section with its blocks."""

    key: str
    title: str
    blocks: Sequence[Block]

    def files(self) -> Iterator[tuple[str, Table | Figure | Picture]]:
        """Tables and figures with the names of their CSV files, pictures with those of their PNG files."""
        for block in self.blocks:
            for item in block.items if isinstance(block, Row) else (block,):
                if isinstance(item, Table | Figure | Picture):
                    name = item.key if item.key.startswith(self.key) else f"{self.key}-{item.key}"
                    yield f"{name}.png" if isinstance(item, Picture) else f"{name}.csv", item


@dataclass(frozen=True, kw_only=True)
class Part:
    """The overview, or one study."""

    key: str
    """Prefix of ids in the page: unique, letters, digits and `-`."""
    title: str
    folder: str
    """Folder of its CSV and PNG files, relative to the report."""
    sections: Sequence[BuiltSection]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report."""

    title: str
    parts: Sequence[Part]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "study"


def build_document(
    records: Sequence[StudyRecord],
    reader: RunReader,
    *,
    top: int,
    by: str | None = None,
    sections: Sequence[Section] = SECTIONS,
) -> Document:
    """Compute a report of one study, or of several: then an overview comes first, and the studies by their rank.

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
        parts.append(Part(key="overview", title="Overview", folder="data", sections=[overview]))
    taken: set[str] = set()
    for index, data in enumerate(studies, start=1):
        slug = _slug(data.record.name)
        slug = slug if slug.lower() not in taken else f"{slug}-{index}"
        taken.add(slug.lower())
        built = [BuiltSection(key=s.key, title=s.title, blocks=s.build(data)) for s in sections]
        parts.append(
            Part(
                key=f"s{index}",
                title=data.record.name,
                folder=f"data/{slug}" if several else "data",
                sections=[section for section in built if section.blocks],
            )
        )
    title = f"{len(studies)} studies" if several else studies[0].record.name
    return Document(title=title, parts=parts)
