"""Where on a machine things lie that no study names: caches, data sets, pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Places"]


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folders that training reads from, and may write caches into."""

    cache_dir: Path
    """Decoded pictures, cached features and downloads; everything in it can be made anew."""
    data_dir: Path | None = None
    """Where data sets and pretrained weights are looked for first (`SWEEPER_DATA`)."""
    features_gib: float = 20.0
    """Most that cached features may take on disk, in GiB (`SWEEPER_FEATURES_GIB`)."""
