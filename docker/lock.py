"""Writes docker/requirements.lock: everything that the images install beside torch, with the hash of each file.

    python docker/lock.py        # in the folder of the repository, on Linux x86_64 with Python 3.11

pip resolves it as `make lock` does, for what the images need and no more: no tests, no documentation.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "docker" / "requirements.lock"
TORCH = re.compile(r"(torch|torchvision|triton|nvidia-(?!ml-py).*|cuda-.*)$")
"""What comes from PyTorch's own index."""
HEAD = """\
# What the images install, with hashes. Linux x86_64, Python 3.11; written by: python docker/lock.py
# torch, torchvision and what they bring come from PyTorch's index for CPUs or for a version of CUDA: see Dockerfile.
"""


def resolve() -> list[dict[str, Any]]:
    """What pip would install, in the versions that `make lock` has."""
    locked = (ROOT / "requirements.lock").read_text()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(locked)
        command += ["--constraint", str(constraints), "--report", str(report)]
        subprocess.run([*command, ".[auth,postgresql,ray]"], cwd=ROOT, check=True)
        installed: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    return installed


def main() -> None:
    """Write the file."""
    lines = []
    for package in resolve():
        name, version = package["metadata"]["name"].lower(), package["metadata"]["version"]
        if name == "sweeper" or TORCH.match(name):
            continue
        digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    LOCK.write_text(HEAD + "".join(sorted(lines)))
    print(f"{LOCK.relative_to(ROOT)}: {len(lines)} packages")


if __name__ == "__main__":
    main()
