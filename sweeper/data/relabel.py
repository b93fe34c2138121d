"""Files of corrected labels: a CSV with the columns `picture` and `label`. Imports neither torch nor numpy."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from sweeper.errors import DataError

__all__ = ["read_labels", "write_labels"]

_PICTURE, _LABEL = "picture", "label"


def read_labels(path: Path) -> dict[str, str]:
    """Class names by picture id (see `Dataset.picture_ids`), empty where a picture is to be left out.

    Other columns are ignored. Raises DataError where the file cannot be read or names a picture twice.
    """
    try:
        # What is no UTF-8 in the name of a file comes back as it was written.
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            missing = {_PICTURE, _LABEL} - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    f"data.relabel: {path} has the columns {', '.join(reader.fieldnames or ()) or 'none'}; needed: "
                    f"{_PICTURE}, {_LABEL}"
                )
            labels: dict[str, str] = {}
            for row in reader:
                picture = row[_PICTURE]
                if picture in labels:
                    raise DataError(f"data.relabel: {path}, line {reader.line_num}: {picture!r} is named twice")
                labels[picture] = (row[_LABEL] or "").strip()
    except (OSError, csv.Error) as error:
        raise DataError(f"data.relabel: {path} cannot be read ({error})") from error
    return labels


def write_labels(path: Path, labels: Mapping[str, str]) -> None:
    """Write a file that `read_labels` reads."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((_PICTURE, _LABEL))
        writer.writerows(labels.items())
