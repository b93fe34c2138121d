"""The NVIDIA GPUs of this machine, and which sweep has which.

Found by the driver library (NVML), since importing torch takes seconds. Worker processes number them as it does, by PCI
bus, and not by speed as CUDA does by default.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from sweeper.errors import OwnedError

__all__ = ["Gpu", "find_gpus", "hold_gpus", "is_held", "number_gpus_by_bus"]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU, or the slice (MIG) of one."""

    index: int
    """torch's number of it in a process of this environment."""
    uuid: str
    name: str = "GPU"
    memory_bytes: int | None = None
    """All that it has; None where that is not known."""

    @property
    def device(self) -> str:
        """torch's name of it."""
        return f"cuda:{self.index}"

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name}, {self.uuid})"


def number_gpus_by_bus(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that have CUDA number GPUs as NVML and `nvidia-smi` do, where the user has not said otherwise."""
    return {"CUDA_DEVICE_ORDER": environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")}


def find_gpus(environ: Mapping[str, str] = os.environ, read: Callable[[], list[Gpu]] | None = None) -> list[Gpu]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves, numbered as torch will number them.

    The variable has numbers, beginnings of UUIDs, and MIG slices; the first entry that names no GPU ends the list, as
    in CUDA (CUDA C++ Programming Guide, Environment Variables).

    Args:
        environ: Environment variables.
        read: Reads all GPUs of the machine; default: NVML.
    """
    gpus = (read or _read_nvml)()
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return gpus
    found: list[Gpu] = []
    for entry in map(str.strip, visible.split(",")):
        gpu = _named(entry, gpus)
        if gpu is None or any(gpu.uuid == other.uuid for other in found):
            break
        found.append(Gpu(index=len(found), uuid=gpu.uuid, name=gpu.name, memory_bytes=gpu.memory_bytes))
    return found


def _named(entry: str, gpus: Sequence[Gpu]) -> Gpu | None:
    if entry.isdecimal():
        return gpus[int(entry)] if int(entry) < len(gpus) else None
    if entry.startswith("MIG-"):
        return Gpu(index=0, uuid=entry, name="MIG slice")
    matches = [gpu for gpu in gpus if entry.startswith("GPU-") and gpu.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _read_nvml() -> list[Gpu]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [
            Gpu(
                index=index,
                uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
                name=str(pynvml.nvmlDeviceGetName(handle)),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
            for index, handle in enumerate(handles)
        ]
    finally:
        pynvml.nvmlShutdown()


# --- which sweep has which ----------------------------------------------------------------------------------------


def _folder() -> Path:
    """One for all users of the machine."""
    folder = Path(tempfile.gettempdir()) / "sweeper-gpus"
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o1777)
    return folder


def _lock(gpu: Gpu) -> FileLock:
    return FileLock(_folder() / f"{gpu.uuid}.lock", timeout=0, mode=0o666)


@contextmanager
def hold_gpus(gpus: Iterable[Gpu], study: str) -> Iterator[None]:
    """Have GPUs for a sweep, for the length of the block. The locks are the operating system's and end with this
    process, however that ends.

    Raises:
        OwnedError: Another sweep on this machine has one of them.
    """
    with ExitStack() as stack:
        for gpu in {gpu.uuid: gpu for gpu in gpus}.values():
            try:
                stack.enter_context(_lock(gpu))
            except Timeout:
                raise OwnedError(f"{gpu} is taken by {_holder(gpu)}; choose others with --devices, or wait") from None
            with contextlib.suppress(OSError):  # another user's, who had it before: nobody will know who has it now
                _note(gpu).write_text(
                    json.dumps({"study": study, "pid": os.getpid(), "host": socket.gethostname()}), encoding="utf-8"
                )
        yield


def is_held(gpu: Gpu) -> bool:
    """Whether a sweep on this machine has a GPU."""
    try:
        with _lock(gpu):
            return False
    except Timeout:
        return True


def _note(gpu: Gpu) -> Path:
    return _folder() / f"{gpu.uuid}.json"


def _holder(gpu: Gpu) -> str:
    try:
        note = json.loads(_note(gpu).read_text(encoding="utf-8"))
        return f"the sweep of {note['study']!r}, pid {note['pid']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another sweep"
