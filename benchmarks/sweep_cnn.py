"""A whole sweep of a convolutional network on pictures of 32×32 with flips and rotation, against the same work by hand
and as a tutorial has it: 10 trials (8,000 training and 2,000 validation pictures of three classes, 3 epochs, a grid of
5 widths of the hidden layer and 2 batch sizes), two processes of one thread each.

    python -m benchmarks.sweep_cnn --data DIR [--rounds 3] [--only sweeper,bare_loop,...]

Peers get the pictures decoded, in one file: a bare loop that is run often would have them so. "sweeper" finds in its
cache what a user's first sweep leaves there; with "nothing cached" it decodes the pictures too.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.peers.task import TASKS
from benchmarks.results import Result, benchmark_parser
from benchmarks.sweeps import Sweep, add_sweep_options, race

TASK = TASKS["cnn"]
PEERS = ("bare_loop", "tutorial")
FOLDER = "cifar3"
TARGETS = {
    "sweeper": ("bare_loop", "ratio <= 1.1"),
    "sweeper_first": ("bare_loop", ""),
    "tutorial": ("sweeper", "ratio >= 2"),
}


def decode(folder: Path, file: Path) -> None:
    """Pictures of a folder with one folder a class, in random order, as the file that peers read."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    paths = [(path, label) for label, name in enumerate(classes) for path in sorted(name.iterdir())]
    order = np.random.default_rng(0).permutation(len(paths))[: TASK.n_train + TASK.n_validation]
    pixels = np.stack([np.asarray(Image.open(paths[index][0]).convert("RGB")) for index in order])
    labels = np.array([paths[index][1] for index in order], dtype=np.int64)
    np.savez(file, pixels=np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), labels=labels)


def measure(options: argparse.Namespace) -> Result:
    augment = [{"name": "horizontal_flip"}, {"name": "rotation", "degrees": TASK.degrees}]
    size = {"subset": TASK.n_train + TASK.n_validation, "validation": TASK.n_validation}
    sweep = Sweep(
        task=TASK,
        trial={
            "data": {"name": "folder", "path": FOLDER, **size, "augment": augment},
            "model": {
                "name": "cnn",
                "blocks": [{"channels": channels, "padding": 1} for channels in TASK.channels],
                "hidden": [{"choice": list(TASK.widths)}],
            },
        },
        n_trials=options.trials,
        n_epochs=options.epochs,
    )
    data = options.data.resolve()
    with tempfile.TemporaryDirectory() as folder:
        decode(data / FOLDER / "train", Path(folder, "pictures.npz"))
        title = f"{sweep.n_trials} trials of a CNN on pictures of 32×32 with flips and rotation, whole commands"
        return race(sweep, options, title=title, peers=PEERS, targets=TARGETS, data=data, peer_data=Path(folder))


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {FOLDER}/train/<class>/ of pictures")
    add_sweep_options(parser, TASK, PEERS)
    options = parser.parse_args()
    measure(options).publish(options.json)


if __name__ == "__main__":
    main()
