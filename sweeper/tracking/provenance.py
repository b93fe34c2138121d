"""Where a run comes from: host, commit, versions."""

from __future__ import annotations

import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import sweeper

__all__ = ["provenance_tags"]

PACKAGES = ("torch", "torchvision", "optuna", "mlflow", "numpy", "scikit-learn")


@cache
def provenance_tags(root: Path) -> dict[str, str]:
    """Tags for runs started in a folder; those that cannot be known are left out."""
    tags = {
        "sweeper.version": sweeper.__version__,
        "sweeper.host": socket.gethostname(),
        "sweeper.python": platform.python_version(),
        "sweeper.platform": platform.platform(terse=True),
    }
    for package in PACKAGES:
        try:
            tags[f"sweeper.{package}"] = version(package)
        except PackageNotFoundError:
            continue
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        tags["sweeper.commit"] = tags["mlflow.source.git.commit"] = commit
        tags["sweeper.dirty"] = "true" if _git(root, "status", "--porcelain", "--untracked-files=no") else "false"
    return tags


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # fixed arguments
            ["git", "-C", str(root), *arguments],  # noqa: S607  # the user's git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
