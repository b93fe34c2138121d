"""torch without its compiler, until somebody compiles.

The first optimizer of a process imports `torch._dynamo`, which takes nearly as long as torch itself (1.4 and 1.7 s of a
core), only to tell a compiler that does not run where to leave a graph. `postpone_dynamo` puts a module in its place
that knows these two answers, and that imports the real one as soon as anything else of it is wanted, as by
`torch.compile`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

__all__ = ["postpone_dynamo"]

NAME = "torch._dynamo"


class _Postponed(ModuleType):
    """Stands for `torch._dynamo` while it is not imported."""

    def __init__(self) -> None:
        super().__init__(NAME)

    def graph_break(self, msg: str = "") -> None:
        """Means something only while a graph is made."""
        if _is_imported():
            sys.modules[NAME].graph_break(msg)

    def disable(self, fn: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Callable[..., Any]:
        """A function that is to be left out of graphs: itself, as long as none are made."""
        if fn is None:
            return self._import().disable(fn, *args, **options)  # type: ignore[no-any-return]
        disabled: list[Callable[..., Any]] = []

        def call(*of_fn: Any, **named: Any) -> Any:
            if not _is_imported():
                return fn(*of_fn, **named)
            if not disabled:
                disabled.append(sys.modules[NAME].disable(fn, *args, **options))
            return disabled[0](*of_fn, **named)

        return call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._import(), name)

    def _import(self) -> ModuleType:
        if not _is_imported():
            del sys.modules[NAME]
            import torch._dynamo  # noqa: F401  # takes its place in `sys.modules`, and as an attribute of torch
        return sys.modules[NAME]


def _is_imported() -> bool:
    return not isinstance(sys.modules.get(NAME), _Postponed | None)


def postpone_dynamo() -> None:
    """Have `torch._dynamo` imported when it is needed, in this process. Nothing is done where it is there already."""
    if NAME not in sys.modules:
        sys.modules[NAME] = _Postponed()
        setattr(torch, NAME.rpartition(".")[2], sys.modules[NAME])
