"""Where and with what something was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("sweeper", "torch", "optuna", "mlflow", "ray")


def describe_machine() -> str:
    """CPU, cores, memory, and versions of Python and packages, in one line."""
    cpu = next(
        (line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    memory_gib = psutil.virtual_memory().total / 2**30
    parts = [f"{cpu}, {os.cpu_count()} cores, {memory_gib:.0f} GiB", f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "; ".join(parts)


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
