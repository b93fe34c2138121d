"""What benchmarks compute by themselves: memory from the kernel's tables, and clocks that stop for each other."""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.memory import pss_bytes, sample
from benchmarks.where_time_goes import Clocks

SMAPS = """\
7f0000000000-7f0000400000 rw-p 00000000 08:01 42                         /cache/mnist/pictures with a name.bin
Size:               4096 kB
Pss:                1024 kB
Pss_Dirty:             0 kB
7f0000400000-7f0000500000 rw-p 00000000 00:00 0
Pss:                 256 kB
7f0000500000-7f0000600000 r-xp 00000000 08:01 43                         /cachelike/libtorch.so
Pss:                 128 kB
7f0000600000-7f0000700000 rw-p 00000000 00:00 0                          [heap]
Pss:                  64 kB
"""


def test_memory_of_the_files_of_a_folder() -> None:
    assert pss_bytes(SMAPS, Path("/cache")) == (1024 * 1024, (1024 + 256 + 128 + 64) * 1024)


def test_a_mapped_file_is_found(tmp_path: Path) -> None:
    n_bytes = 1 << 20
    (tmp_path / "pictures.bin").write_bytes(b"x" * n_bytes)
    with (tmp_path / "pictures.bin").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped[:].count(b"x") == n_bytes
        of_folder, total, n_mapping = sample([psutil.Process()], tmp_path)
    assert (of_folder, n_mapping) == (n_bytes, 1)
    assert total > of_folder
    assert sample([psutil.Process()], tmp_path)[2] == 0


def test_a_part_inside_another_counts_for_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 3.0, 6.0])
    monkeypatch.setattr(time, "thread_time", lambda: next(now))
    clocks = Clocks()
    with clocks.part("outer"), clocks.part("inner"):
        pass
    assert dict(clocks.seconds) == {"outer": 1.0 + 3.0, "inner": 2.0}


def test_the_steps_of_a_generator_are_counted_and_not_what_is_done_between(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: now[0])
    clocks = Clocks()

    def batches() -> object:
        for k in range(3):
            now[0] += 1.0
            yield k

    for _ in clocks.around("batches", batches)():
        now[0] += 10.0
    assert clocks.seconds["batches"] == 3.0
