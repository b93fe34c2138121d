"""A full disk: claiming pauses, nothing crashes, and the sweep goes on when there is room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disks import SmallDisk
from tests.faults.scenarios import fill_the_disk
from tests.sweep.conftest import CommandLine, prepare_folder

pytestmark = pytest.mark.xdist_group("disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 120 MiB; a driver wants 64 MiB of it free before it goes on."""
    try:
        disk = SmallDisk(tmp_path / "disk", 120)
    except PermissionError as error:
        pytest.skip(f"mounting a file system needs more rights: {error}")
    yield disk
    disk.unmount()


def test_a_disk_that_is_full_for_a_while(
    disk: SmallDisk, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    prepare_folder(tmp_path_factory, disk.folder)
    command_line = CommandLine(disk.folder, cache_dir)
    try:
        output = fill_the_disk(command_line, disk, n_times=1, seed=1)
    finally:
        command_line.end()
    assert "trials keep their last checkpoints and go on when at least 64 MiB are free" in output
    assert "the disk has room again" in output
