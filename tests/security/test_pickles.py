"""Checkpoints and models are data: a pickle that would run code does not, and the outcome is clear."""

from __future__ import annotations

import pickle
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sweeper
from sweeper.data.decoded import read_store
from sweeper.errors import InputError
from sweeper.study.study import Study
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import Workspace
from sweeper.training.checkpoint import load_checkpoint, save_checkpoint
from tests.sweep.accounts import check_accounts
from tests.sweep.studies import study_dict

PACKAGE = Path(sweeper.__file__).parent


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def write_torch_bomb(path: Path, target: Path) -> None:
    torch.save({"training": Bomb(target)}, path)


def write_old_torch_bomb(path: Path, target: Path) -> None:
    torch.save({"training": Bomb(target)}, path, _use_new_zipfile_serialization=False)


def write_plain_bomb(path: Path, target: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(target)))


def write_torchscript(path: Path, target: Path) -> None:
    """A program in the place of tensors, which torch.load would hand to torch.jit."""
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("constants.pkl.bomb", pickle.dumps(Bomb(target)))


BOMBS = (write_torch_bomb, write_old_torch_bomb, write_plain_bomb, write_torchscript)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("write", BOMBS)
def test_a_bomb_is_no_checkpoint(tmp_path: Path, write: Any) -> None:
    target, path, previous = tmp_path / "touched", tmp_path / "checkpoint.pt", tmp_path / "previous.pt"
    write(path, target)
    assert load_checkpoint(path, previous) is None
    save_checkpoint(previous, tmp_path / "none", {"epoch": 3})
    assert load_checkpoint(path, previous) == {"epoch": 3}
    assert not target.exists()


def test_the_bombs_go_off_where_nobody_takes_care(tmp_path: Path) -> None:
    target, path = tmp_path / "touched", tmp_path / "bomb.pt"
    write_torch_bomb(path, target)
    torch.load(path, weights_only=False)
    assert target.exists()


def test_no_bytes_make_loading_raise(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"a": torch.arange(6), "b": [1, "two"]}, path)
    whole = path.read_bytes()
    torch.save({"a": torch.arange(6)}, path, _use_new_zipfile_serialization=False)
    old = path.read_bytes()
    draw = random.Random(5)
    for i in range(600):
        data = bytearray(whole if i % 2 else old)
        for _ in range(draw.randrange(1, 6)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(bytes(data[: draw.randrange(len(data) + 1)] if i % 3 else data))
        load_checkpoint(path, tmp_path / "none")
    for _ in range(200):
        path.write_bytes(draw.randbytes(draw.randrange(200)))
        assert load_checkpoint(path, tmp_path / "none") is None


def test_a_trial_whose_checkpoint_is_a_bomb_begins_anew(folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    from sweeper.launch.launcher import WorkerSlot
    from sweeper.sweep.api import SilentView
    from sweeper.sweep.start import SweepOptions, drive, prepare

    target = tmp_path / "touched"
    name = prepare(workspace, Study.model_validate(study_dict(trials=1, epochs=2)))
    files = workspace.study_files(name, open_store(workspace).read(name).uuid).trial(0)
    files.folder.mkdir(parents=True)
    write_torch_bomb(files.checkpoint, target)
    write_torch_bomb(files.previous_checkpoint, target)
    options = SweepOptions(launcher="inline", slots=(WorkerSlot(index=0, device="cpu", n_threads=1),))
    assert drive(workspace, name, options=options, view=SilentView()).finished
    assert not target.exists()
    check_accounts(folder, n_trials=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("write", BOMBS)
def test_a_model_that_is_a_bomb_is_refused(
    folder: Path, swept: Path, workspace: Workspace, tmp_path: Path, write: Any
) -> None:
    target = tmp_path / "touched"
    (best,) = sweeper.best_runs("tiny", workspace=workspace)
    assert best.load_model().class_names
    (model,) = (folder / "mlruns").rglob("model.pt")
    write(model, target)
    with pytest.raises(InputError, match=r"model\.pt of this run is not the state dict of its network"):
        best.load_model()
    assert not target.exists()


def test_decoded_data_is_loaded_without_pickle(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    (tmp_path / "meta.json").write_text('{"class_names": ["a"], "n_test": 0, "content": "", "shape": [1, 1, 1, 1]}')
    np.save(tmp_path / "labels.npy", np.zeros(1, dtype=np.int64))
    np.save(tmp_path / "images.npy", np.array([Bomb(target)], dtype=object), allow_pickle=True)
    assert read_store(tmp_path) is None
    assert not target.exists()


def test_nothing_unpickles_or_imports_by_name() -> None:
    """Every call of torch.load says weights_only, and none of the others that run code is there at all."""
    banned = re.compile(
        r"pickle\.loads?\(|weights_only=False|allow_pickle=True|\beval\(|\bexec\(|__import__\(|yaml\.load\(|joblib"
    )
    loads = 0
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        for match in re.finditer(r"torch\.load\(.*", text):
            loads += 1
            assert "weights_only=True" in match[0], path
        found = [line for line in text.splitlines() if banned.search(line.replace(".eval(", ""))]
        assert not found, f"{path}: {found}"
        if "import_module" in text or "exec_module" in text:
            # The package's own names, from a table there; and plugins, which a user has named.
            assert path in (PACKAGE / "__init__.py", PACKAGE / "study/plugins/sources.py")
    assert loads >= 2


def test_plugins_are_imported_only_where_a_user_has_named_them() -> None:
    """A name that is read from a database reaches none of these: `tests/extend/test_kinds.py` tries."""
    importing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bload_plugins?\(", path.read_text())
    }
    assert importing == {
        "study/plugins/sources.py",
        "study/load.py",  # of a study file
        "cli/options.py",  # of --plugin
        "tracking/plugins.py",  # what was named in this workspace
        "launch/attempt.py",  # by a worker, from the arguments that its driver gave it
        "analysis/folds.py",  # the same
    }
