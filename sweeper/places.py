"""Where on a machine things lie that no study names: caches, data sets, pretrained weights."""

from __future__ import annotations

from collections.abc import Sequence
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

    plugins: tuple[str, ...] = ()
    """What is imported before training, as `sweeper.study.plugins.sources.resolve_plugin` gives it."""

    def to_arguments(self) -> list[str]:
        """As arguments of a process; `from_arguments` reads them back."""
        return [str(self.cache_dir), str(self.data_dir or ""), repr(self.features_gib), *self.plugins]

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Places:
        """What `to_arguments` gave."""
        cache_dir, data_dir, features_gib, *plugins = arguments
        return cls(
            cache_dir=Path(cache_dir),
            data_dir=Path(data_dir) if data_dir else None,
            features_gib=float(features_gib),
            plugins=tuple(plugins),
        )
