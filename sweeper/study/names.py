"""Names of studies: what they may be. Imports nothing, since every command looks at one."""

from __future__ import annotations

import re

from sweeper.study.words import show

__all__ = ["NAME_PATTERN", "check_name"]

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"


def check_name(name: str) -> str:
    """A name that is safe as a file name, in a URL and on a command line.

    Raises:
        ValueError: It is not.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(
            f"given {show(name)}; allowed: 1 to 128 letters, digits, `_`, `.` and `-`, the first a letter, digit or `_`"
        )
    return name
