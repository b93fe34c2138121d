"""What a study was trained on, as its runs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["DataInfo", "data_info"]


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What a study was trained on, from the artifact `data.json` of one of its runs."""

    name: str
    class_names: tuple[str, ...]
    counts: Mapping[str, Sequence[int]]
    """Pictures of each class in `train`, `val` and `test`, in the order of the classes."""
    fingerprint: str
    input_shape: tuple[int, ...]
    """(C, H, W)."""
    split_seed: int | None

    def n_pictures(self, part: str) -> int | None:
        """Pictures in a part; None where it is not known or empty."""
        return sum(self.counts.get(part, ())) or None


def data_info(raw: Any) -> DataInfo | None:
    """The contents of `data.json`; None where they are not what sweeper writes."""
    if not isinstance(raw, dict) or not isinstance(raw.get("class_names"), list):
        return None
    counts = raw.get("counts") or {}
    return DataInfo(
        name=str(raw.get("name", "")),
        class_names=tuple(str(name) for name in raw["class_names"]),
        counts={part: [int(n) for n in counts[part]] for part in ("train", "val", "test") if counts.get(part)},
        fingerprint=str(raw.get("fingerprint", "")),
        input_shape=tuple(int(n) for n in raw.get("input_shape") or ()),
        split_seed=raw.get("split_seed"),
    )
