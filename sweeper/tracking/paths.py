"""Names that come from a database as parts of paths, and paths without links: nothing leads out of its folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sweeper.errors import InputError
from sweeper.study.names import check_name
from sweeper.study.words import show

__all__ = ["check_stored", "check_stored_name", "refuse_link", "refuse_links_in"]


def check_stored(name: str, uuid: str) -> None:
    """See that the name and the id of a study, which others may have written, can be parts of a path.

    Raises:
        InputError: One cannot.
    """
    check_stored_name(name)
    if not isinstance(uuid, str) or not re.fullmatch("[0-9a-f]{32}", uuid):
        raise InputError(f"the study {name!r} is stored with the id {show(uuid)}, which sweeper did not make")


def check_stored_name(name: str) -> None:
    """See that the name of a study, which others may have written, can be part of a path.

    Raises:
        InputError: It cannot.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise InputError(f"name of a study: {error}") from None


def refuse_link(path: Path) -> None:
    """See that a path is no symbolic link: what is written, read or deleted through one lies elsewhere.

    Raises:
        InputError: It is one.
    """
    if path.is_symlink():
        raise InputError(f"{path} is a link to {path.readlink()}; sweeper goes through no links, remove it")


def refuse_links_in(folder: Path, *, deep: bool = True) -> None:
    """See that neither a folder nor anything in it is a symbolic link. It need not exist.

    Args:
        folder: The folder.
        deep: Whether to look into the folders in it too.

    Raises:
        InputError: Something is.
    """
    refuse_link(folder)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            refuse_link(Path(parent, name))
        if not deep:
            return
