"""Text without passwords: those in URLs, and those that the environment holds, wherever they stand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

__all__ = ["SECRET_VARIABLES", "without_passwords"]

SECRET_VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "SWEEPER_STORAGE",
    "PGPASSWORD",
)
"""Environment variables that hold a password or a URL with one. Workers start without them."""

_MIN_LENGTH = 4
"""A password shorter than this is masked where it stands in a URL only: as a word it may be part of any other."""
_QUERY = r"(?i)([?&][\w-]*(?:password|passwd|pwd|token|secret|key)=)([^&\s'\"]+)"


def without_passwords(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Text with `***` in the place of each password.

    Args:
        text: Such as a message of another package, which may quote a URL or a part of one.
        environ: Where this process has its passwords from; default: the environment.
    """
    for secret in sorted(_known(os.environ if environ is None else environ), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(://[^/\s:@]*):(?!\d+[/\s])[^\s]*@", r"\1:***@", text)
    return re.sub(_QUERY, r"\1***", text)


def _known(environ: Mapping[str, str]) -> Iterator[str]:
    for name in SECRET_VARIABLES:
        value = environ.get(name, "")
        for secret in _of_url(value) if "://" in value else [value]:
            if len(secret) >= _MIN_LENGTH:
                yield secret


def _of_url(url: str) -> Iterator[str]:
    rest = url.partition("://")[2]
    # Without an `@`, what stands after the colon is a port, or a password whose host was forgotten.
    found = re.match(r"[^/:@]*:(.*)@", rest) or re.match(r"[^/:@]*:([^/?]*)", rest)
    if found is not None and not ("@" not in rest and found[1].isdecimal()):
        yield found[1]
        yield _unquoted(found[1])
    for _, secret in re.findall(_QUERY, url):
        yield secret
        yield _unquoted(secret)


def _unquoted(text: str) -> str:
    return re.sub(r"%([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), text)
