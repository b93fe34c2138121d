from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.data.relabel import read_labels, write_labels
from sweeper.errors import DataError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    labels = {"train/cat/1.png": "dog", 'a "b", c.png': "T-shirt/top", "left-out.png": "", "odd\udce9.png": "cat"}
    write_labels(tmp_path / "labels.csv", labels)
    assert read_labels(tmp_path / "labels.csv") == labels


def test_other_columns_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("given,picture,confidence,label\ncar,1.png,0.9,cat\n")
    assert read_labels(tmp_path / "labels.csv") == {"1.png": "cat"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,class\n1.png,cat\n", "has the columns picture, class; needed: picture, label"),
        ("", "has the columns none"),
        ("picture,label\n1.png,cat\n1.png,dog\n", "line 3: '1.png' is named twice"),
        (None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / "labels.csv")
