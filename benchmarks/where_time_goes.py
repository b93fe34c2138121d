"""Where the CPU seconds of a trial go: an MLP of 128 units on four digits of MNIST (12,000 training and 2,000
validation pictures, batches of 64), by the code of a worker, one thread. And what its process takes before, once.

Each part has a clock of CPU time that stops while another part inside it runs. What is left over is the loop itself,
opening the data, building the model, and what describes the trial before its first epoch.

    python -m benchmarks.where_time_goes --data DIR [--rounds 3] [--epochs 10]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.results import Result, Row, benchmark_parser, timed
from benchmarks.tracking import attempt_of, events_of, make_study
from sweeper.launch import attempt as attempts
from sweeper.tracking.outbox import OutboxWriter
from sweeper.tracking.workspace import Workspace
from sweeper.training import checkpoint
from sweeper.training.feed import PictureFeed
from sweeper.training.learner import TorchLearner
from sweeper.training.memory import GradientAccumulation
from sweeper.training.meters import ClassMeter

REST = "all else: the loop, opening the data, building, describing"
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "batches: drawing, normalizing": ((PictureFeed, "train"), (PictureFeed, "evaluation")),
    "forward and backward pass, loss": ((GradientAccumulation, "backward"),),
    "optimizer's step": ((TorchLearner, "train_step"),),
    "evaluation: forward pass": ((TorchLearner, "evaluate"),),
    "metrics": ((ClassMeter, "add"), (ClassMeter, "read")),
    "rows of metrics": ((OutboxWriter, "append"), (OutboxWriter, "sync"), (OutboxWriter, "release")),
    "checkpoints and the best model": ((attempts, "save_checkpoint"), (attempts, "save_whole")),
}
"""Functions and generators by part."""
IMPORTS = {
    "a worker's imports, once for all workers": "from sweeper.launch.worker import import_torch; import_torch()",
    "the driver's imports before workers start": "import sweeper.sweep.start",
    "MLflow's import, while workers start": "import sweeper.tracking.mlflow",
}


class Clocks:
    """CPU seconds of this thread by part; a part inside another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of a block for a part."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.thread_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The function, or the generator that it returns, with its time counted."""

        def steps(iterator: Iterator[Any]) -> Iterator[Any]:
            while True:
                with self.part(name):
                    item = next(iterator, None)
                if item is None:
                    return
                yield item

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                result = call(*args, **kwargs)
            return steps(result) if isinstance(result, Iterator) else result

        return wrapper


def measure_trial(environment: dict[str, str], epochs: int) -> dict[str, float]:
    """CPU seconds of one trial, by part."""
    clocks = Clocks()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, ExitStack() as stack:
        workspace = Workspace.from_environment(Path(folder), environment)
        for name, places in PARTS.items():
            for owner, function in places:
                wrapped = clocks.around(name, getattr(owner, function))
                stack.enter_context(patch.object(owner, function, wrapped))
        attempt = attempt_of(make_study(trials=1, epochs=epochs), Path(folder) / "trial")
        with clocks.part(REST):
            for _ in events_of(attempt, workspace.places):
                pass
    return clocks.seconds


def measure_import(code: str) -> float:
    """CPU seconds of a Python that runs some code, above those of one that does nothing."""

    def run(text: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, "-c", text], check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    return run(code) - run("pass")


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--data", type=Path, help="folder with torchvision's MNIST/raw; default: SWEEPER_DATA")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    assert checkpoint.save_checkpoint is attempts.save_checkpoint
    environment = dict(os.environ)
    if options.data is not None:
        environment["SWEEPER_DATA"] = str(options.data.resolve())
    with tempfile.TemporaryDirectory(prefix="benchmark-") as cache:
        environment["SWEEPER_CACHE"] = cache
        measure_trial(environment, 1)  # decodes the pictures
        trials = [measure_trial(environment, options.epochs) for _ in range(options.rounds)]
    totals = [sum(trial.values()) for trial in trials]
    rows: list[Row] = [timed(f"a whole trial of {options.epochs} epochs", totals)]
    for name in (*PARTS, REST):
        share = median(trial[name] / total for trial, total in zip(trials, totals, strict=True))
        rows.append(timed(name, [trial[name] for trial in trials], ratio=share, against="the whole trial"))
    for name, code in IMPORTS.items():
        rows.append(timed(name, [measure_import(code) for _ in range(options.rounds)]))
    Result(
        title="Where the CPU seconds of a trial go", rows=tuple(rows), notes=("All figures are CPU seconds.",)
    ).publish(options.json)


if __name__ == "__main__":
    main()
