"""A loop over configurations, in processes of one thread; nothing is searched and nothing tracked.

Prints the seconds of training alone, of the process that trained longest.

    python -m benchmarks.peers.bare_loop --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from queue import Empty
from typing import Any

from benchmarks.peers.grid import GRID, LEARNING_RATE
from benchmarks.peers.options import parse_options


def work(root: Path, epochs: int, todo: Any, seconds: Any) -> None:
    import torch

    from benchmarks.peers.tasks import N_TRAIN, build_mlp, evaluate, read_mnist, train_epoch

    torch.set_num_threads(1)
    images, labels = read_mnist(root)
    begin = time.perf_counter()
    while True:
        try:
            config = todo.get_nowait()
        except Empty:
            break
        torch.manual_seed(0)
        model = build_mlp(config["width"])
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        for _ in range(epochs):
            train_epoch(model, optimizer, images[:N_TRAIN], labels[:N_TRAIN], config["batch_size"])
            evaluate(model, images[N_TRAIN:], labels[N_TRAIN:])
    seconds.put(time.perf_counter() - begin)


def main() -> None:
    options = parse_options(__doc__)
    context = multiprocessing.get_context("spawn")
    todo, seconds = context.Queue(), context.Queue()
    for config in GRID[: options.trials]:
        todo.put(config)
    processes = [
        context.Process(target=work, args=(options.data, options.epochs, todo, seconds)) for _ in range(options.workers)
    ]
    for process in processes:
        process.start()
    print(f"training alone: {max(seconds.get() for _ in processes):.1f} s")
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
