"""How a running sweep looks: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import errno
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sweeper.cli.output import console, duration, number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sweeper.sweep.progress import Progress, TrialEnded

__all__ = ["LiveView", "PlainView", "create_view", "render"]

_STATE_STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}


def create_view(*, quiet: bool = False) -> LiveView | PlainView:
    """The view for this output: live if it is a terminal."""
    return LiveView() if sys.stdout.isatty() and not quiet else PlainView(quiet=quiet)


class PlainView:
    """Implements `View`: a line for each trial that ends."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, progress: Progress) -> None:
        self._progress = progress

    def trial_ended(self, trial: TrialEnded) -> None:
        if not self._quiet:
            _print(self._line(trial))

    def message(self, text: str) -> None:
        _print(text, error=True)

    def _line(self, trial: TrialEnded) -> str:
        progress = self._progress
        parts = [f"trial {trial.number}", trial.state]
        if trial.value is not None:
            metric = progress.metric if progress else "value"
            parts.append(f"{metric} {number(trial.value)}" + (" (best)" if trial.is_best else ""))
        if trial.reason:
            parts.append(trial.reason)
        parts.append(duration(trial.seconds))
        if progress is not None:
            parts.append(f"{progress.n_ended}/{progress.n_trials}")
        return "  ".join(parts)


def _print(text: str, *, error: bool = False) -> None:
    try:
        print(text, file=sys.stderr if error else sys.stdout, flush=True)  # what this view is for
    except OSError as caught:
        if caught.errno not in (errno.ENOSPC, errno.EDQUOT):  # of a log file; it is printed later or not at all
            raise


class LiveView:
    """Implements `View`: a line for each worker, refreshed in place; messages and ended trials scroll above."""

    def __init__(self) -> None:
        from rich.live import Live

        self._console = console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._shown_at = 0.0
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, progress: Progress) -> None:
        self._progress = progress
        now = time.monotonic()
        if now - self._shown_at >= 0.2:
            self._shown_at = now
            self._live.update(render(progress), refresh=True)

    def trial_ended(self, trial: TrialEnded) -> None:
        from rich.text import Text

        line = Text(f"trial {trial.number:>4}  ")
        line.append(f"{trial.state:<8}", style=_STATE_STYLES.get(trial.state, ""))
        line.append(f"  {number(trial.value):>9}  {duration(trial.seconds):>12}  ")
        line.append("best" if trial.is_best else trial.reason, style="bold green" if trial.is_best else "red")
        self._console.print(line)

    def message(self, text: str) -> None:
        from rich.markup import escape

        self._console.print(escape(text), style="yellow")


def render(progress: Progress) -> RenderableType:
    """The sweep in a few lines: what is done, the best so far, and a line for each worker."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    counts = progress.n_by_state
    left = max(progress.n_trials - progress.n_ended, 0)
    head = Text.assemble(
        (progress.name, "bold"),
        f"  {counts['COMPLETE']} done · {counts['PRUNED']} pruned · {counts['FAIL']} failed · {left} left",
    )
    if progress.best_value is not None:
        head.append(f" · best {progress.metric} {number(progress.best_value)} (trial {progress.best_number})")
    if progress.seconds_left is not None and left:
        head.append(f" · about {duration(progress.seconds_left)} to go")
    if progress.stopping:
        head.append(
            f"\n{progress.stopping}: each trial finishes its epoch; Ctrl-C again to leave at once", style="yellow"
        )
    table = Table.grid(padding=(0, 2))
    for _ in range(6):
        table.add_column(no_wrap=True)
    for worker in progress.workers:
        cells: list[Any] = [f"worker {worker.index}", worker.device, worker.state, "", "", ""]
        if worker.number is not None:
            cells[2] = f"trial {worker.number}"
            cells[3] = ProgressBar(total=max(worker.n_epochs, 1), completed=worker.epoch, width=20)
            cells[4] = f"epoch {worker.epoch}/{worker.n_epochs}" if worker.n_epochs else f"epoch {worker.epoch}"
            if worker.preparing is not None:
                done, total = worker.preparing
                cells[3] = ProgressBar(total=max(total, 1), completed=done, width=20)
                cells[4] = f"backbone {done:,}/{total:,}"
            elif worker.objective is not None:
                rate = worker.pictures_per_second or 0.0
                speed = f"   {rate:,.0f} pictures/s" if rate else ""
                cells[5] = f"{progress.metric} {number(worker.objective)}{speed}"
        table.add_row(*cells)
    return Group(head, table)
