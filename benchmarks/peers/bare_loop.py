"""A loop over configurations, in processes of one thread; nothing is searched and nothing tracked.

Prints what was done, and the seconds of training alone, of the process that trained longest.

    python -m benchmarks.peers.bare_loop --task mlp --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path
from queue import Empty
from typing import Any

from benchmarks.peers.options import parse_options
from benchmarks.peers.task import LEARNING_RATE, Task


def work(task: Task, root: Path, epochs: int, todo: Any, done: Any) -> None:
    import torch

    from benchmarks.peers.training import build_model, evaluate, read_pictures, train_epoch

    torch.set_num_threads(1)
    images, labels = read_pictures(task, root)
    n = task.n_train
    accuracies = []
    begin = time.perf_counter()
    while True:
        try:
            config = todo.get_nowait()
        except Empty:
            break
        torch.manual_seed(0)
        model = build_model(task, config["width"])
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        for _ in range(epochs):
            train_epoch(task, model, optimizer, images[:n], labels[:n], config["batch_size"])
            accuracies.append(evaluate(model, images[n:], labels[n:])[1])
    done.put((accuracies, time.perf_counter() - begin))


def main() -> None:
    options = parse_options(__doc__)
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    for config in options.task.grid[: options.trials]:
        todo.put(config)
    arguments = (options.task, options.data, options.epochs, todo, done)
    processes = [context.Process(target=work, args=arguments) for _ in range(options.workers)]
    for process in processes:
        process.start()
    results = [done.get() for _ in processes]
    for process in processes:
        process.join()
    accuracies = [accuracy for of_process, _ in results for accuracy in of_process]
    report = {
        "n_trials": len(accuracies) // options.epochs,
        "n_epochs": len(accuracies),
        "best_accuracy": max(accuracies),
        "training_s": max(seconds for _, seconds in results),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
