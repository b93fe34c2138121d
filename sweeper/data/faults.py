"""Options of a data set that do not fit it, in words. Imports no torch and no numpy: `sweeper check` asks here too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from sweeper.data.catalog import PictureCounts
from sweeper.study.config import DataConfig, Noise, TestConfig
from sweeper.study.words import nearest, show

__all__ = ["Fault", "data_faults", "unknown_name"]

Fault: TypeAlias = tuple[tuple[str, ...], str]
"""The field below `data`, and what is wrong with it."""


def data_faults(config: DataConfig, own_names: Sequence[str], known: PictureCounts) -> Iterator[Fault]:
    """Classes that the data set does not have, and more pictures than there are, as far as that is known.

    Args:
        config: What is asked for.
        own_names: The data set's own names of all its classes.
        known: How many pictures it has of each.
    """
    unknown = [name for name in config.own_class_names or () if name not in own_names]
    for name in unknown:
        yield ("classes",), unknown_name(name, own_names)
    if unknown:
        return
    kept, own = config.kept_class_names or tuple(own_names), config.own_class_names or tuple(own_names)
    own_name = dict(zip(kept, own, strict=True))
    test = config.test if isinstance(config.test, TestConfig) else TestConfig()
    mentioned: tuple[tuple[tuple[str, ...], Iterable[str]], ...] = (
        (("counts",), config.counts or ()),
        (("noise",), _mentioned(config.noise)),
        (("test", "counts"), test.counts or ()),
        (("test", "noise"), _mentioned(test.noise)),
    )
    wrong = [(field, unknown_name(name, kept)) for field, names in mentioned for name in names if name not in kept]
    yield from wrong
    if wrong:
        return

    held_out = known.test
    test_counts = dict(test.counts or {})
    if held_out == {} and isinstance(config.test, TestConfig):
        unnamed = [name for name in kept if name not in test_counts]
        if unnamed:
            yield ("test", "counts"), f"{_name_no(unnamed[0])}; the data set has no test pictures of its own: name each"
            return
    for name in kept:
        n_test = None if held_out is None else held_out.get(own_name[name], 0)
        n_training = None if known.training is None else known.training[own_name[name]]
        if held_out == {}:
            n_test = n_training  # drawn from the same pictures, before those for training
        yield from _too_many(("test", "counts"), name, test_counts.get(name), n_test)
        if held_out == {} and n_training is not None:
            n_training -= test_counts.get(name, 0)
        n_kept = (config.counts or {}).get(name)
        yield from _too_many(("counts",), name, n_kept, n_training)
        yield from _too_much_noise(("noise",), name, config.noise, n_kept or n_training)
        yield from _too_much_noise(("test", "noise"), name, test.noise, test_counts.get(name, n_test))


def unknown_name(name: str, known: Sequence[str]) -> str:
    """That a class is not known, which may have been meant, and which are known."""
    shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    return f"given {show(name)}{nearest(name, known) or ';'} allowed classes: {shown}"


def _mentioned(noise: Noise | None) -> Iterator[str]:
    for true_class, given in (noise or {}).items():
        yield true_class
        yield from given


def _name_no(name: str) -> str:
    return f"says nothing of {show(name)}"


def _too_many(field: tuple[str, ...], name: str, n: int | None, n_there: int | None) -> Iterator[Fault]:
    if n is not None and n_there is not None and n > n_there:
        yield (*field, name), f"given {n}; allowed: at most {n_there}, as many pictures of {show(name)} as there are"


def _too_much_noise(field: tuple[str, ...], name: str, noise: Noise | None, n: int | None) -> Iterator[Fault]:
    shares = (noise or {}).get(name, {}).values()
    # A share of what there is always fits; beside counts, it is what the counts leave that matters.
    asked = sum(share if isinstance(share, int) else int(share * (n or 0)) for share in shares)
    if n is not None and asked > n:
        yield (*field, name), f"given {asked} wrong labels; allowed: at most {n}, as many as pictures of {show(name)}"
