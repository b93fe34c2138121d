"""Tiny studies of digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LR = {"float": [1e-3, 1e-2], "log": True}


def study_dict(
    name: str = "tiny", *, trials: int = 3, epochs: int = 2, batch_size: Any = 128, **parts: Any
) -> dict[str, Any]:
    """A study of a small MLP; keywords replace parts of the study, `training` those of its training."""
    training = {"epochs": epochs, "batch_size": batch_size, "optimizer": {"name": "adam", "lr": LR}}
    return {
        "name": name,
        "sampler": {"name": "random", "seed": 3},
        "budget": {"trials": trials},
        "trial": {
            "data": {"name": "digits", "validation": 0.2},
            "model": {"name": "mlp", "hidden": [16]},
            "training": {**training, **parts.pop("training", {})},
        },
        **parts,
    }


def write_study(folder: Path, name: str = "tiny", **parts: Any) -> Path:
    """A study file in a folder."""
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(study_dict(name, **parts), indent=2))  # JSON is YAML
    return path
