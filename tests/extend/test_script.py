"""A script that registers parts of its own and starts a sweep with them: its workers find them too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.errors import PluginError
from sweeper.study.plugins.sources import sources_of

PARTS = """
import sweeper
import torch

@sweeper.model("script_layer")
def script_layer(*, input_shape: tuple[int, int, int], n_outputs: int, width: int = 8):
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], width),
        torch.nn.Linear(width, n_outputs),
    )
"""
STUDY = """
study = sweeper.Study.model_validate(
    {
        "name": "scripted",
        "budget": {"trials": 2},
        "trial": {
            "data": {"name": "digits", "validation": 0.2},
            "model": {"name": "script_layer", "width": {"choice": [4, 8]}},
            "training": {"epochs": 1, "batch_size": 64, "optimizer": {"name": "adam", "lr": 0.01}},
        },
    }
)
"""
START = 'result = sweeper.start(study, workers=1, devices=["cpu"])\nprint(sweeper.runs("scripted")["state"].tolist())\n'


def run(folder: Path, script: str, cache_dir: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    environment = {**os.environ, "SWEEPER_CACHE": str(cache_dir)}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *sys.path[1:]])
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def guarded(script: str) -> str:
    return "if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in script.splitlines())


def test_workers_import_the_script(tmp_path: Path, cache_dir: Path) -> None:
    ended = run(tmp_path, PARTS + STUDY + guarded(START), cache_dir)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "['COMPLETE', 'COMPLETE']"


def test_workers_import_a_module_that_the_script_imports(tmp_path: Path, cache_dir: Path) -> None:
    (tmp_path / "our_layers.py").write_text(PARTS)
    ended = run(tmp_path, "import sweeper\nimport our_layers\n" + STUDY + START, cache_dir)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "['COMPLETE', 'COMPLETE']"


def test_a_start_outside_of_main_is_refused(tmp_path: Path, cache_dir: Path) -> None:
    ended = run(tmp_path, PARTS + STUDY + START, cache_dir)
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert "script.py starts a sweep when it is imported" in last
    assert 'put what starts it under `if __name__ == "__main__":`' in last


def test_what_is_in_no_file_is_refused() -> None:
    space: dict[str, object] = {}
    exec(compile(PARTS.replace("script_layer", "cell_layer"), "<cell 1>", "exec"), space)  # as a notebook does
    assert sources_of({"model": {"name": "mlp"}}) == []
    with pytest.raises(PluginError, match=r"model 'cell_layer' is in no file that workers could import"):
        sources_of({"model": {"choice": [{"name": "mlp"}, {"name": "cell_layer"}]}})
