"""The outbox: every metric row of a trial, on disk before it is sent, and sent once.

An append-only file of JSON lines. A row line holds one epoch: its number, the time it was recorded, and its values. A
release line says that a checkpoint covers all rows above it. Only released rows are sent, so that an attempt which
resumes from the checkpoint never sends an epoch that was sent before; and since a row's time is frozen when it is
recorded, a batch that is sent again after a lost answer is the same batch, which MLflow's database stores once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OutboxWriter", "Row", "read_released"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """The metrics of one epoch."""

    epoch: int
    timestamp_ms: int
    """When it was recorded, in milliseconds since 1970."""
    values: Mapping[str, float]


class OutboxWriter:
    """Appends rows. One worker at a time has the outbox of a trial."""

    def __init__(self, path: Path, *, checkpoint_epoch: int = 0) -> None:
        """Open the outbox of an attempt that goes on from a checkpoint.

        Rows that neither a release nor the checkpoint covers are taken back: the attempt will make them again.

        Args:
            path: The file; created where it is missing.
            checkpoint_epoch: Epochs that the checkpoint covers; 0 without one.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes() if path.exists() else b""
        end, unreleased, released_epoch = _scan(text)
        for row_end, row in unreleased:
            if row.epoch <= checkpoint_epoch:
                end = row_end
        self.last_epoch = max(released_epoch, checkpoint_epoch)
        """Rows up to here are in the outbox and will not be taken again."""
        self._file = path.open("ab")
        self._file.truncate(end)
        self._file.seek(end)

    def append(self, row: Row) -> None:
        """Add the row of an epoch; one that is there already is left as it is."""
        if row.epoch <= self.last_epoch:
            return
        self._write({"epoch": row.epoch, "time": row.timestamp_ms, "values": dict(row.values)})
        self.last_epoch = row.epoch

    def sync(self) -> None:
        """Have the rows so far on disk. Before a checkpoint that covers them, since no attempt makes them again."""
        os.fsync(self._file.fileno())

    def release(self, *, durable: bool = True) -> None:
        """Let all rows so far be sent: a checkpoint covers them, or the trial has ended.

        Args:
            durable: Whether that is on disk when this returns.
        """
        self._write({"released": self.last_epoch})
        if durable:
            self.sync()

    def close(self) -> None:
        """Close the file; rows that were not released stay unsent."""
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()


def read_released(path: Path, offset: int = 0) -> tuple[list[Row], int]:
    """The released rows from `offset` bytes on, and the offset to go on from."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            text = file.read()
    except FileNotFoundError:
        return [], offset
    rows: list[Row] = []
    released: list[Row] = []
    position = end = 0
    for line in text.splitlines(keepends=True):
        position += len(line)
        data = _parse(line)
        if data is None:
            break
        if "released" in data:
            released, end = [*rows], position
        else:
            rows.append(_row(data))
    return released, offset + end


def _scan(text: bytes) -> tuple[int, list[tuple[int, Row]], int]:
    """End of the last release line, the rows after it with their ends, and the last epoch released."""
    position = end = released_epoch = 0
    unreleased: list[tuple[int, Row]] = []
    for line in text.splitlines(keepends=True):
        data = _parse(line)
        if data is None:  # torn by a crash: nothing after it counts
            break
        position += len(line)
        if "released" in data:
            end, released_epoch = position, int(data["released"])
            unreleased = []
        else:
            unreleased.append((position, _row(data)))
    return end, unreleased, released_epoch


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _row(data: Mapping[str, Any]) -> Row:
    return Row(epoch=data["epoch"], timestamp_ms=data["time"], values=data["values"])
