"""Importing a W&B sweep file: the study that it becomes, checked as `sweeper check` does, and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from sweeper.errors import Fault, StudyFileError
from sweeper.study.load import parse_study
from sweeper.study.parse import Path
from sweeper.study.wandb.build import Built, build_study, searched_by_base
from sweeper.study.wandb.find import find_settings
from sweeper.study.wandb.settings import Note, Setting
from sweeper.study.wandb.sweep_file import SweepFile, parse_sweep_file
from sweeper.study.wandb.write import write_study
from sweeper.study.yaml import Document, parse_yaml
from sweeper.sweep.check import create_checks

__all__ = ["Imported", "import_wandb"]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A study made from a sweep file."""

    source: str
    raw: Mapping[str, Any]
    """The study, as plain data."""
    text: str
    """The same as the text of a study file."""
    n_carried: int
    """Settings of the sweep that are in it."""
    left: Sequence[Note]
    """What of the sweep is not in it."""
    changed: Sequence[Note]
    """What is in it with a difference."""
    of_base: Sequence[str]
    """Fields that it searches beside those of the sweep, by the base."""
    missing: Sequence[str]
    """Fields that must still be filled in; without any, `sweeper check` finds no fault."""


def import_wandb(
    path: FilePath, *, base: FilePath | None = None, maps: Sequence[str] = (), data_dir: FilePath | None = None
) -> Imported:
    """Turn a W&B sweep file into a study. Writes nothing.

    Args:
        path: The sweep file.
        base: A study file with what the sweep does not say: data, model and the rest.
        maps: `NAME=PATH`, for names of parameters or of the metric that are not the usual ones.
        data_dir: Where folders of pictures are looked for.

    Raises:
        StudyFileError: The sweep file or the base has faults.
        InputError: A `--map` fits nothing.
    """
    sweep = parse_sweep_file(_read(path), source=str(path))
    document = Document(data={}, lines={}, faults=[]) if base is None else _read_base(base)
    found = find_settings(sweep, document.data, maps)
    settings, left = found.settings, found.notes
    while True:
        built = build_study(sweep, document.data, settings, name=path.stem)
        faults = () if built.left else _faults(built, data_dir)
        dropped = _unless_said(built.left or _misfits(built, faults))
        if not dropped:
            break
        for setting, message in dropped:
            left += setting.notes(message, carried=False)
        settings = [setting for setting in settings if all(setting is not each for each, _ in dropped)]
    missing = _missing(faults, base, document)
    left.sort(key=lambda note: note.line)
    changed = sorted(built.notes, key=lambda note: note.line)
    of_base = searched_by_base(built)
    text = write_study(built.raw, _comments(sweep, left, changed, of_base, missing))
    return Imported(
        source=sweep.source,
        raw=built.raw,
        text=text,
        n_carried=len({source for setting in settings for source in setting.sources}),
        left=left,
        changed=changed,
        of_base=of_base,
        missing=missing,
    )


def _read(path: FilePath) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        raise StudyFileError([Fault(source=str(path), message=f"cannot be read: {reason}")]) from error


def _read_base(path: FilePath) -> Document:
    text = _read(path)
    try:
        parse_study(text, source=str(path))
    except StudyFileError as error:
        faults = [fault for fault in error.faults if not _is_missing(fault)]
        if faults:
            raise StudyFileError(faults) from error
    return parse_yaml(text, str(path))


def _is_missing(fault: Fault) -> bool:
    return "is missing" in fault.message


def _faults(built: Built, data_dir: FilePath | None) -> Sequence[Fault]:
    """What `sweeper check` would find in the study."""
    checks, study_checks = create_checks(data_dir)
    try:
        parse_study(write_study(built.raw), source="", checks=checks, study_checks=study_checks)
    except StudyFileError as error:
        return error.faults
    return ()


def _setting_at(built: Built, place: Path) -> Setting | None:
    """The setting that has put in what is at a place."""
    return next((built.places[place[:n]] for n in range(len(place), 0, -1) if place[:n] in built.places), None)


def _misfits(built: Built, faults: Sequence[Fault]) -> list[tuple[Setting, str]]:
    """Settings that the study does not take, and why."""
    found: dict[int, tuple[Setting, str]] = {}
    for fault in faults:
        setting = _setting_at(built, fault.path)
        if setting is not None:
            found.setdefault(id(setting), (setting, f"{fault.field}: {fault.message}"))
    return list(found.values())


def _unless_said(dropped: Sequence[tuple[Setting, str]]) -> Sequence[tuple[Setting, str]]:
    """Settings that have no place.

    Raises:
        StudyFileError: The user has said where it is.
    """
    faults = [
        Fault(source=setting.option, message=message) for setting, message in dropped if setting.option is not None
    ]
    if faults:
        raise StudyFileError(faults)
    return dropped


def _missing(faults: Sequence[Fault], base: FilePath | None, document: Document) -> list[str]:
    """Fields that the study lacks.

    Raises:
        StudyFileError: It has other faults, which the base brings.
    """
    others = [fault for fault in faults if not _is_missing(fault)]
    if others:
        raise StudyFileError([_in_base(fault, base, document) for fault in others])
    return [f"{fault.field}.name" if "`name`" in fault.message else fault.field for fault in faults]


def _in_base(fault: Fault, base: FilePath | None, document: Document) -> Fault:
    place = fault.path
    line = next((document.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in document.lines), None)
    return Fault(source=str(base), line=line, path=fault.path, message=fault.message)


def _comments(
    sweep: SweepFile, left: Sequence[Note], changed: Sequence[Note], of_base: Sequence[str], missing: Sequence[str]
) -> list[str]:
    """What stands above the study."""
    lines = [f"Imported from {sweep.source}, a sweep file of Weights & Biases."]
    if missing:
        lines += ["", f"To be filled in, since the sweep does not say it: {', '.join(missing)}."]
    if of_base:
        lines += ["", f"Searched too, by the base study: {', '.join(of_base)}."]
    for heading, notes in (("Not carried over:", left), ("Carried over with a difference:", changed)):
        if notes:
            lines += ["", heading, *(f"- line {note.line}, {note.field}: {note.message}" for note in notes)]
    return lines
