"""A small disk in memory, which a test fills."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class SmallDisk:
    """A file system of a given size in a folder.

    Raises:
        PermissionError: Mounting needs rights that this process does not have.
    """

    def __init__(self, folder: Path, mebibytes: int) -> None:
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PermissionError(done.stderr.strip())
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink()

    @property
    def free_bytes(self) -> int:
        """What is left."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def unmount(self) -> None:
        """Remove it with all that it holds."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
