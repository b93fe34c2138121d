"""Faults of study files: each kind, with its file, line, field, what was given and what is allowed."""
# ruff: noqa: E501  # one fault a line

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import StudyFileError
from sweeper.study.load import load_study
from tests.study.conftest import check, faults, plain

EPOCHS, BATCH, ADAM, HIDDEN, NAME = "epochs: 3", "batch_size: 32", "optimizer: adam", "hidden: [16]", "name: plain"

ONE_FAULT = {
    # Unknown names and wrong values
    "unknown field": (ADAM, "optimizer: {name: adam, lrr: 1}", "8: trial.training.optimizer.lrr: unknown field; did you mean 'lr'?"),
    "unknown field without a near one": (NAME, "name: plain\nzzz: 1", "2: zzz: unknown field; allowed: budget, description"),
    "unknown branch": (ADAM, "optimizer: adm", "8: trial.training.optimizer: given 'adm'; did you mean 'adam'? allowed: adam, adamw"),
    "unknown data set": ("name: digits", "name: digit", "3: trial.data.name: given 'digit'; allowed: 'digits', 'mnist'"),
    "unknown pruner": (NAME, "name: plain\npruner: medain", "2: pruner: given 'medain'; did you mean 'median'?"),
    "unknown augmentation": ("name: digits", "name: digits, augment: [rotate]", "3: trial.data.augment.0: given 'rotate'; did you mean 'rotation'?"),
    "unknown metric": (NAME, "name: plain\nobjective: {metric: val/acuracy}", "2: objective.metric: given 'val/acuracy'; did you mean 'val/accuracy'?"),
    "missing field": ("    epochs: 3\n", "", "5: trial.training.epochs: is missing"),
    "missing name of a branch": (ADAM, "optimizer: {lr: 0.1}", "8: trial.training.optimizer: `name` is missing; allowed: a mapping with a name"),
    "wrong type": (EPOCHS, "epochs: three", "6: trial.training.epochs: given 'three'; allowed: an integer"),
    "float for an integer": (EPOCHS, "epochs: 3.0", "6: trial.training.epochs: given 3.0; allowed: an integer"),
    "true for an integer": (EPOCHS, "epochs: true", "6: trial.training.epochs: given true; allowed: an integer"),
    "nothing": (EPOCHS, "epochs:", "6: trial.training.epochs: given null; allowed: an integer"),
    "list for a branch": (ADAM, "optimizer: [adam]", "8: trial.training.optimizer: given ['adam']; allowed: a mapping with a name"),
    "too low": (EPOCHS, "epochs: 0", "6: trial.training.epochs: given 0; allowed: at least 1"),
    "too high": (ADAM, "optimizer: {name: sgd, momentum: 1.0}", "8: trial.training.optimizer.momentum: given 1.0; allowed: below 1"),
    "empty list": (HIDDEN, "hidden: []", "4: trial.model.hidden: given []; allowed: a list of at least 1"),
    "list too long": (ADAM, "optimizer: {name: adam, betas: [0.1, 0.1, 0.1]}", "8: trial.training.optimizer.betas: given [0.1, 0.1, 0.1]; allowed: a list of at most 2"),
    "item of a list": (HIDDEN, "hidden: [16, x]", "4: trial.model.hidden.1: given 'x'; allowed: an integer"),
    "name unsafe": (NAME, "name: a/b", "1: name: given 'a/b'; allowed: 1 to 128 letters, digits"),
    "name ends in a line break": (NAME, 'name: "a\\n"', "1: name: given 'a\\n'; allowed: 1 to 128 letters, digits"),
    "infinite": (ADAM, "optimizer: {name: adam, weight_decay: .inf}", "8: trial.training.optimizer.weight_decay: given .inf; allowed: a finite number"),
    "not a number": (ADAM, "optimizer: {name: adam, lr: .nan}", "8: trial.training.optimizer.lr: given .nan; allowed: a finite number"),
    "overflow": (ADAM, "optimizer: {name: adam, lr: 1e400}", "8: trial.training.optimizer.lr: given .inf; allowed: a finite number"),
    "infinite outside of the trial": (NAME, "name: plain\nbudget: {timeout_seconds: .inf}", "2: budget.timeout_seconds: given .inf; allowed: a finite number"),
    "yes is a string": (HIDDEN, "hidden: [16], batch_norm: yes", "4: trial.model.batch_norm: given 'yes'; allowed: true or false"),
    "off is a string": (HIDDEN, "hidden: [16], batch_norm: off", "4: trial.model.batch_norm: given 'off'; allowed: true or false"),
    # Distributions
    "low above high": (BATCH, "batch_size: {int: [8, 4]}", "7: trial.training.batch_size.int: given low 8 above high 4; allowed: [low, high] with low <= high"),
    "log from 0": (ADAM, "optimizer: {name: adam, lr: {float: [0, 1], log: true}}", "8: trial.training.optimizer.lr.float: given low 0 with log: true; allowed: low above 0"),
    "log and step": (BATCH, "batch_size: {int: [4, 8], log: true, step: 2}", "7: trial.training.batch_size.step: given step and log: true together; allowed: one of them"),
    "step 0": (ADAM, "optimizer: {name: adam, lr: {float: [0.1, 1], step: 0}}", "8: trial.training.optimizer.lr.step: given 0; allowed: a number above 0"),
    "step of a fraction": (BATCH, "batch_size: {int: [4, 8], step: 0.5}", "7: trial.training.batch_size.step: given 0.5; allowed: an integer above 0"),
    "bounds of fractions": (BATCH, "batch_size: {int: [4, 8.5]}", "7: trial.training.batch_size.int: given [4, 8.5]; allowed: [low, high], two integers"),
    "one bound": (BATCH, "batch_size: {int: [4]}", "7: trial.training.batch_size.int: given [4]; allowed: [low, high], two integers"),
    "infinite bound": (ADAM, "optimizer: {name: adam, lr: {float: [1, .inf]}}", "8: trial.training.optimizer.lr.float: given [1, .inf]; allowed: [low, high], two numbers"),
    "log of a string": (BATCH, "batch_size: {int: [4, 8], log: yes}", "7: trial.training.batch_size.log: given 'yes'; allowed: true or false"),
    "field of a distribution": (BATCH, "batch_size: {int: [4, 8], lgo: true}", "7: trial.training.batch_size.lgo: unknown field of a distribution; did you mean 'log'? allowed beside int: log, step"),
    "misspelled distribution": (ADAM, "optimizer: {name: adam, lr: {flota: [0.1, 1]}}", "8: trial.training.optimizer.lr: given {flota: [0.1, 1]}; allowed: a number; did you mean 'float'?"),
    "misspelled choice": (ADAM, "optimizer: {chioce: [adam, sgd]}", "8: trial.training.optimizer: `name` is missing; allowed: a mapping with a name, or the bare name; did you mean 'choice'?"),
    "two distributions": (BATCH, "batch_size: {int: [4, 8], choice: [4]}", "7: trial.training.batch_size: given int and choice in one place; allowed: one distribution"),
    "empty choice": (BATCH, "batch_size: {choice: []}", "7: trial.training.batch_size.choice: given []; allowed: a list with at least one option"),
    "choice of no list": (BATCH, "batch_size: {choice: 4}", "7: trial.training.batch_size.choice: given 4; allowed: a list with at least one option"),
    "same option twice": (BATCH, "batch_size: {choice: [8, 16, 8]}", "7: trial.training.batch_size.choice.2: given 8 twice; allowed: options that differ"),
    "equal options": (HIDDEN, "hidden: [16], dropout: {choice: [0, 0.0]}", "4: trial.model.dropout.choice.1: given 0.0 beside 0, its equal; allowed: options that differ"),
    "option not a number": (ADAM, "optimizer: {name: adam, lr: {choice: [0.1, .nan]}}", "8: trial.training.optimizer.lr.choice.1: given .nan; allowed: a finite number"),
    "repeat of fewer than min": (HIDDEN, "hidden: {repeat: {min: 3, max: 2}, of: 8}", "4: trial.model.hidden.repeat: given {min: 3, max: 2}; allowed: a count, or {min: m, max: n}"),
    "repeat of a negative count": (HIDDEN, "hidden: {repeat: -1, of: 8}", "4: trial.model.hidden.repeat: given -1; allowed: a count, or {min: m, max: n}"),
    "repeat without of": (HIDDEN, "hidden: {repeat: 2}", "4: trial.model.hidden: `of` is missing; allowed: {repeat: <count>"),
    "of without repeat": (HIDDEN, "hidden: {of: 8}", "4: trial.model.hidden: `repeat` is missing; allowed: {repeat: <count>"),
    "repeat that may be empty": (HIDDEN, "hidden: {repeat: {min: 0, max: 2}, of: 8}", "4: trial.model.hidden: given []; allowed: a list of at least 1"),
    "within a repeat": (HIDDEN, "hidden: {repeat: {min: 1, max: 3}, of: {int: [0, 4]}}", "4: trial.model.hidden.of: given 0; allowed: at least 1"),
    "end of a range": (BATCH, "batch_size: {int: [0, 4]}", "7: trial.training.batch_size: given 0; allowed: at least 1"),
    # Fields that do not go together
    "dropout a layer": (HIDDEN, "hidden: [16], dropout: [0.1, 0.2]", "4: trial.model.dropout: given 2 values for 1 hidden layer; allowed: one value, or a list with one for each hidden layer"),
    "warm-up": (ADAM, "optimizer: adam\n    schedule: {name: cosine, warmup_epochs: 3}", "9: trial.training.schedule.warmup_epochs: given 3; allowed: below training.epochs, which is 3"),
    "nesterov": (ADAM, "optimizer: {name: sgd, nesterov: true}", "8: trial.training.optimizer.nesterov: given true with a momentum of 0"),
    "shares": ("name: digits", "name: digits, train: 0.9, validation: 0.5", "3: trial.data.train: given 0.9 beside a validation of 0.5"),
    "folder without path": ("name: digits", "name: folder", "3: trial.data.path: is missing; name the folder"),
    "path without folder": ("name: digits", "name: digits, path: x", "3: trial.data.path: given 'x' with name: digits; allowed: with sets of pictures"),
    "class weights": (ADAM, "optimizer: adam\n    loss: {name: nll, class_weights: [1.0, 2.0]}", "9: trial.training.loss.class_weights: given 2 weights; allowed: one for each of the 10 classes"),
    "class of the objective": (NAME, "name: plain\nobjective: {metric: val/accuracy/cat}", "2: objective.metric: given 'val/accuracy/cat'; allowed classes: 0, 1"),
    "class of early stopping": (ADAM, "optimizer: adam\n    early_stopping: {patience: 1, metric: val/accuracy/cat}", "9: trial.training.early_stopping.metric: given 'val/accuracy/cat'; allowed classes: 0, 1"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ONE_FAULT)
def test_each_kind_of_fault_is_one_message_with_its_place(kind: str) -> None:
    old, new, expected = ONE_FAULT[kind]
    (message,) = faults(plain((old, new)))
    assert message.startswith(f"s.yaml:{expected}")


def test_a_continuous_float_is_refused_by_the_grid_sampler_where_it_stands() -> None:
    lr = "optimizer: {name: adam, lr: {float: [0.1, 0.2]}}"
    (message,) = faults(plain((NAME, "name: plain\nsampler: grid"), (ADAM, lr)))
    assert message.startswith("s.yaml:2: sampler: given grid with a continuous float in trial.training.optimizer.lr; ")
    check(plain((NAME, "name: plain\nsampler: grid"), (ADAM, lr.replace("0.2]", "0.2], step: 0.05"))))


def test_all_faults_are_reported_at_once_by_line() -> None:
    text = plain((NAME, "name: a b\nbudget: {trials: 0}"), (HIDDEN, "hiden: [16]"), (EPOCHS, "epochs: {int: [5, 4]}"))
    messages = faults(text)
    assert [message.split(": ")[:2] for message in messages] == [
        ["s.yaml:1", "name"],
        ["s.yaml:2", "budget.trials"],
        ["s.yaml:5", "trial.model.hidden"],
        ["s.yaml:5", "trial.model.hiden"],
        ["s.yaml:7", "trial.training.epochs.int"],
    ]


def test_a_fault_in_a_branch_has_the_line_of_that_branch() -> None:
    choice = """optimizer:
      choice:
        - adam
        - name: sgd
          momentum: {float: [0.0, 1.5]}"""
    assert faults(plain((ADAM, choice))) == [
        "s.yaml:12: trial.training.optimizer.choice.1.momentum: given 1.5; allowed: below 1"
    ]


CNN = """\
name: cnn
trial:
  data: {name: digits}
  model:
    name: cnn
    pooling: {choice: [max, average]}
    blocks:
      repeat: {min: 1, max: 3}
      of: {channels: {int: [4, 8]}, kernel: {choice: [1, 3]}, pool: 2}
    hidden: [{int: [8, 16]}]
  training: {epochs: 3, batch_size: 32, optimizer: adam}
"""


def test_a_cnn_that_is_too_deep_at_one_corner_says_with_which_values_only() -> None:
    (message,) = faults(CNN)
    assert message.startswith("s.yaml:4: trial.model: block 3: a picture of 2×2 is smaller than the kernel of 3 ")
    assert message.endswith("(with model.blocks.repeat = 3, model.blocks.2.kernel = 3)")
    assert check(CNN, ["trial.data.image_size=32"]).complete


def test_a_cnn_that_is_too_deep_everywhere_blames_no_value() -> None:
    (message,) = faults(CNN.replace("pool: 2", "pool: 9"))
    assert message.endswith("a picture of 8×8 is smaller than the pooling window of 9")


def test_a_fault_of_values_in_two_places_names_both() -> None:
    schedule = "schedule: {name: cosine, warmup_epochs: {int: [0, 5]}}"
    (message,) = faults(plain((EPOCHS, "epochs: {int: [5, 9]}"), (ADAM, f"optimizer: adam\n    {schedule}")))
    assert message.endswith("(with training.epochs = 5, training.schedule.warmup_epochs = 5)")


def test_batch_norm_with_a_batch_of_one_picture_is_refused() -> None:
    (message,) = faults(plain((HIDDEN, "hidden: [16], batch_norm: true"), (BATCH, "batch_size: {choice: [32, 1]}")))
    assert message.startswith("s.yaml:4: trial.model: a batch size of 1")
    assert message.endswith("(with training.batch_size = 1)")


def test_a_broken_distribution_has_no_echo() -> None:
    assert len(faults(plain((HIDDEN, "hidden: {repeat: 2, of: {int: [8, 4]}}")))) == 1


def test_a_large_space_is_checked_in_part_at_both_ends_of_all_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.study.load.MAX_CORNERS", 200)
    blocks = "[" + ", ".join("{channels: {int: [1, 2]}}" for _ in range(20)) + "]"
    cnn = f"{{name: cnn, blocks: {blocks.replace('}}', '}, pool: 1}')}}}"
    text = plain(("{name: mlp, hidden: [16]}", cnn), ("name: digits", "name: digits, image_size: 64"))
    checked = check(text)
    assert not checked.complete
    assert checked.n_corners == 2 * 200 + 1
    first_is_too_large = text.replace("{int: [1, 2]}", "{int: [1, 2000000]}", 1)
    assert "given 2000000; allowed: at most 1000000" in faults(first_is_too_large)[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin, empty = tmp_path / "latin.yaml", tmp_path / "empty.yaml"
    latin.write_bytes("name: é".encode("latin-1"))
    empty.write_text("# nothing\n")
    for path, reason in (
        (tmp_path / "missing.yaml", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (latin, "cannot be read: not a UTF-8 text file"),
        (empty, "the file is empty"),
    ):
        with pytest.raises(StudyFileError) as raised:
            load_study(path)
        assert str(raised.value) == f"{path}: {reason}"
