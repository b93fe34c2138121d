"""The values of one factor: which trials are partners, what is said of them, and what is not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel

from sweeper.errors import InputError
from sweeper.report.blocks import Note, Table
from sweeper.report.factor import Factor
from sweeper.report.factor_choice import open_factor
from sweeper.report.factor_tables import factor_dict, gather_factor
from sweeper.report.factor_words import describe_factor
from sweeper.report.sections import choose_sections
from sweeper.report.sections.comparison import build_comparison
from sweeper.report.statistics import describe_sample, difference_interval, wilson_interval
from sweeper.report.write import write_report
from sweeper.tracking.records import RunRecord, StudyRecord

from .synthetic import (
    MemoryReader,
    data_json,
    make_record,
    make_run,
    open_study,
    shuffled,
)

CLASSES = ("car", "truck", "cat")
BALANCE = {
    "loss": [0.80, 0.82, 0.78, 0.81, 0.79],
    "sampler": [0.79, 0.83, 0.77, 0.82, 0.79],
    "none": [0.60, 0.63, 0.58, 0.60, 0.60],
}


def add(
    reader: MemoryReader, runs: list[RunRecord], value: float | None, params: Mapping[str, Any], **changes: Any
) -> None:
    """A trial whose classes lie above, at and below its value."""
    run = make_run(len(runs), value=value, params=params, state="COMPLETE" if value else "FAIL", **changes)
    runs.append(run)
    reader.artifacts[run.run_id, "data.json"] = data_json(CLASSES, {"val": [100, 60, 40], "test": [50, 30, 20]})
    if value is not None:
        shares = dict(zip(CLASSES, (value + 0.1, value, value - 0.1), strict=True))
        reader.histories[run.run_id] = {
            f"{part}/{kind}": [0.1, x - (0.05 if part == "test" else 0.0)]
            for part in ("val", *(["test"] if run.tags.get("sweeper.source_trial") else []))
            for kind, x in {
                "accuracy": value,
                "balanced_accuracy": value,
                **{f"accuracy/{c}": share for c, share in shares.items()},
            }.items()
        }


def study_of(
    values: Mapping[str, Sequence[float | None]] = BALANCE, rest: Sequence[Mapping[str, Any]] = ({},), **changes: Any
) -> tuple[StudyRecord, MemoryReader]:
    """Trials of `training.balance`, each with all of `rest` and as many seeds as it has values."""
    reader, runs = MemoryReader(), list[RunRecord]()
    for more in rest:
        for name, several in values.items():
            for seed, value in enumerate(several):
                add(reader, runs, value, {"training.balance": name, "seed": seed, **more})
    record = make_record(runs, objective={"metric": "val/accuracy", "at": "last"}, **changes)
    reader.records = {record.name: record}
    return record, reader


def opened(*arguments: Any, factor: str | None = None, metric: str | None = None, **options: Any) -> Factor:
    return open_factor(open_study(*study_of(*arguments, **options)), factor, metric=metric)


def test_values_are_ranked_and_compared_with_the_best_by_seed() -> None:
    factor = opened()
    frame = gather_factor(factor)
    assert frame["value"].tolist() == ["loss", "sampler", "none"]
    assert frame["verdict"].tolist() == ["first", "not distinguishable", "worse"]
    assert frame["mean"].tolist() == pytest.approx([0.80, 0.80, 0.602])
    assert frame["n_pairs"].tolist() == [None, 5, 5]
    assert frame["n_better"].tolist() == [None, 2, 0]
    assert frame["val/accuracy/cat"].tolist() == pytest.approx([0.70, 0.70, 0.502])
    expected = ttest_rel(BALANCE["none"], BALANCE["loss"])
    assert frame["p"][2] == pytest.approx(expected.pvalue)
    # Of three pairs, Holm's first step decides on the clearest and the second on the next.
    other = ttest_rel(BALANCE["none"], BALANCE["sampler"])
    step = 3 if expected.pvalue < other.pvalue else 2
    interval = expected.confidence_interval(1 - 0.05 / step)
    assert (frame["difference_low"][2], frame["difference_high"][2]) == pytest.approx((interval.low, interval.high))
    sample = describe_sample(BALANCE["loss"])
    assert sample is not None
    assert sample.interval is not None
    assert frame["low"][0] == pytest.approx(sample.interval.low)


def test_sentences_say_what_the_numbers_support() -> None:
    factor = opened()
    text = " ".join(describe_factor(factor, gather_factor(factor)))
    assert text.startswith(
        "By validation accuracy, “loss” is first of 3 values of balance, level with “sampler”, with 80.0 % in the mean "
        "over 5 trainings. "
        "Worse than “loss”: “none” (−19.8 points, −"
    )
    # Two of the three pairs are told apart before, so that Holm's last step is at 95 %.
    interval = ttest_rel(BALANCE["sampler"], BALANCE["loss"]).confidence_interval(0.95)
    assert f"Not distinguishable from “loss”: “sampler” (0.0 points, −{-100 * interval.low:.1f} to +" in text
    assert "paired by seed; their intervals are Student's, at 95 % or more, after Holm's correction for all 3" in text
    assert "Better" not in text
    assert "settings" not in text


def test_a_metric_of_choice_and_its_direction() -> None:
    record, reader = study_of()
    for histories in reader.histories.values():
        histories["val/loss"] = [2.0, 1.0 - histories["val/accuracy"][-1]]
        histories["train/loss"] = histories["val/loss"]
    data = open_study(record, reader)
    assert open_factor(data, metric="val/accuracy/cat").metric_text() == "validation accuracy of cat"
    factor = open_factor(data, "balance", metric="train/loss")
    frame = gather_factor(factor)
    assert not factor.maximize
    assert frame["verdict"].tolist() == ["first", "not distinguishable", "worse"]
    assert frame["difference"][2] == pytest.approx(0.198)
    assert " “none” (+0.1980, " in " ".join(describe_factor(factor, frame))
    measured = "measured: .*val/accuracy, val/accuracy/CLASS, .*; test is measured by `sweeper finalize digits-cnn`"
    with pytest.raises(InputError, match=f"^'val/f1' was not measured of a complete trial; {measured}$"):
        open_factor(data, metric="val/f1")
    with pytest.raises(InputError, match=r"^'test/accuracy' was not measured"):
        open_factor(data, part="test")
    with pytest.raises(InputError, match=r"^--on: given 'train'; allowed: val, test$"):
        open_factor(data, part="train")
    with pytest.raises(InputError, match=r"^--on and --metric: given both"):
        open_factor(data, part="val", metric="val/loss")


def test_losses_are_shown_with_equal_decimals() -> None:
    reader, runs = MemoryReader(), list[RunRecord]()
    for name, losses in (("mse", [0.2340, 0.2361, 0.2332]), ("mae", [0.24061, 0.24301, 0.24112])):
        for seed, loss in enumerate(losses):
            runs.append(make_run(len(runs), value=loss, params={"training.loss.name": name, "seed": seed}))
            reader.histories[runs[-1].run_id] = {"val/loss": [loss]}
    factor = open_factor(open_study(make_record(runs, objective={"metric": "val/loss"}), reader))
    text = " ".join(describe_factor(factor, gather_factor(factor)))
    assert "Worse than “mse”: “mae” (+0.0071, +0.0" in text


def test_partners_share_the_seed_and_all_else_that_varied() -> None:
    lrs = [{"training.optimizer.lr": lr} for lr in (1e-3, 1e-2)]
    factor = opened(BALANCE, lrs, factor="training.balance")
    assert factor.others == ["training.optimizer.lr"]
    frame = gather_factor(factor)
    assert frame["n_pairs"].tolist() == [None, 10, 10]
    assert frame["low"].tolist() == [None, None, None]  # trainings that differ in more than their seed
    text = " ".join(describe_factor(factor, frame))
    assert "paired by seed, lr, and averaged for each seed; " in text
    assert "They hold for the settings of lr that were tried, and say nothing about others." in text
    # Both learning rates reach the same with a seed here, so that ten pairs know no more than five.
    assert frame["p"][2] == pytest.approx(ttest_rel(BALANCE["none"], BALANCE["loss"]).pvalue)


def test_with_one_seed_settings_are_what_is_counted() -> None:
    reader, runs = MemoryReader(), list[RunRecord]()
    for name, values in BALANCE.items():
        for i, value in enumerate(values):
            add(reader, runs, value, {"training.balance": name, "training.optimizer.lr": 10.0**-i})
    factor = open_factor(open_study(make_record(runs, objective={"metric": "val/accuracy"}), reader), "balance")
    frame = gather_factor(factor)
    assert frame["p"][2] == pytest.approx(ttest_rel(BALANCE["none"], BALANCE["loss"]).pvalue)
    text = " ".join(describe_factor(factor, frame))
    assert "With one seed, they say how much the difference depends on lr, and nothing about other seeds." in text


def test_what_comes_with_a_value_is_no_other_parameter() -> None:
    reader, runs = MemoryReader(), list[RunRecord]()
    for name, lr in (("adam", 1e-3), ("sgd", 1e-2)):
        for seed in range(3):
            params = {"training.optimizer.name": name, "training.optimizer.lr": lr, "seed": seed}
            add(reader, runs, 0.8 + 0.01 * seed * (name == "sgd"), params)
    choice = [{"name": "adam", "lr": 1e-3}, {"name": "sgd", "lr": 1e-2}]
    trial: dict[str, Any] = {"data": {"name": "digits"}, "model": {"name": "logistic"}}
    trial["training"] = {"epochs": 2, "batch_size": 16, "optimizer": {"choice": choice}}
    factor = open_factor(open_study(make_record(runs, trial=trial), reader), "optimizer")
    assert factor.others == []
    assert [value.label for value in factor.ranked] == ["sgd", "adam"]
    assert gather_factor(factor)["n_pairs"].tolist() == [None, 3]


def test_single_trainings_are_compared_over_their_pictures() -> None:
    factor = opened({"loss": [0.80], "sampler": [0.78], "none": [0.40]})
    frame = gather_factor(factor)
    assert frame["verdict"].tolist() == ["first", "not distinguishable", "worse"]
    interval = wilson_interval(0.8, 200)
    assert (frame["low"][0], frame["high"][0]) == pytest.approx((interval.low, interval.high))
    level = 1 - 0.05 / 3
    expected = difference_interval(0.78, wilson_interval(0.78, 200, level), 0.8, wilson_interval(0.8, 200, level))
    assert (frame["difference_low"][1], frame["difference_high"][1]) == pytest.approx((expected.low, expected.high))
    assert frame["p"].isna().all()
    assert "They say nothing about other seeds" in " ".join(describe_factor(factor, frame))
    of_cat = opened({"loss": [0.80], "none": [0.40]}, metric="val/accuracy/cat")
    interval = wilson_interval(0.7, 40)
    assert gather_factor(of_cat)["low"][0] == pytest.approx(interval.low)


def test_values_with_missing_trials_come_last_and_are_said_to_be() -> None:
    factor = opened({**BALANCE, "both": [0.95, None, None, None, 0.93]})
    frame = gather_factor(factor)
    assert frame["value"].tolist() == ["loss", "sampler", "none", "both"]
    assert frame["verdict"].tolist()[-1] == "not distinguishable"  # two pairs tell little
    text = " ".join(describe_factor(factor, frame))
    assert "those that are not do not count, and their values come last: “both” (2 of 5)." in text
    lone = opened({**BALANCE, "both": [0.85, None, None, None, None]})
    assert gather_factor(lone)["verdict"].tolist()[-1] == "–"
    text = " ".join(describe_factor(lone, gather_factor(lone)))
    assert (
        "Nothing can be said of the difference to “loss”: "
        "“both” (+5.0 points in one pair, which tells nothing of other seeds)." in text
    )


def test_values_without_a_number_are_named_with_the_reason() -> None:
    reader, runs = MemoryReader(), list[RunRecord]()
    for seed in range(3):
        for lr, value in ((1e-3, 0.8), (1e-2, 0.7), (10.0, None), (100.0, None)):
            tags = {"sweeper.reason": "diverged: loss is nan"} if lr == 10.0 else {}
            add(
                reader, runs, value and value + 0.01 * seed * lr, {"training.optimizer.lr": lr, "seed": seed}, tags=tags
            )
    runs[-1] = replace(runs[-1], state="PRUNED")
    factor = open_factor(open_study(make_record(runs, objective={"metric": "val/accuracy"}), reader), "lr")
    assert [value.value for value in factor.ranked] == [1e-3, 1e-2]
    text = " ".join(describe_factor(factor, gather_factor(factor)))
    assert "Every training diverged: 10. No complete trial yet: 100" in text


def test_the_same_difference_in_all_pairs_is_no_certainty() -> None:
    factor = opened({"loss": [0.8, 0.8, 0.8], "none": [0.75, 0.75, 0.75]})
    frame = gather_factor(factor)
    assert frame["verdict"].tolist() == ["first", "–"]
    assert frame["low"].tolist() == [None, None]
    text = " ".join(describe_factor(factor, frame))
    assert "“none” (−5.0 points in all 3 pairs, too alike to tell how much chance there is)." in text
    assert "Student" not in text


def test_trials_that_repeat_others_are_not_missing() -> None:
    record, reader = study_of({"loss": [0.8, 0.82, 0.79], "none": [0.75, 0.74, 0.76]})
    again = replace(record.runs[0], run_id="again", number=len(record.runs))
    reader.histories["again"] = reader.histories[record.runs[0].run_id]
    factor = open_factor(open_study(replace(record, runs=(*record.runs, again)), reader))
    assert [value.n_trials for value in factor.ranked] == [3, 3]
    assert "come last" not in " ".join(describe_factor(factor, gather_factor(factor)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [("16", "16"), ("1e-3", "1e-3"), ("22 to 30", "22 to 30"), ("none", "“none”"), ("800, 200", "“800, 200”")],
)
def test_words_are_quoted_in_sentences_and_numbers_are_not(value: str, shown: str) -> None:
    factor = opened({value: [0.8, 0.82, 0.79], "low": [0.7, 0.69, 0.72]})
    text = describe_factor(factor, gather_factor(factor))[0]
    assert text.startswith(f"By validation accuracy, {shown} is first of 2 values")


def test_many_long_names_without_a_result_are_counted() -> None:
    names = {f"one of the long names of values, number {k}": [None] for k in range(5)}
    factor = opened({"loss": [0.8, 0.82, 0.79], "none": [0.7, 0.69, 0.72], **names})
    assert "No complete trial yet: 5 other values." in describe_factor(factor, gather_factor(factor))


def test_values_with_commas_are_quoted_in_sentences() -> None:
    factor = opened({"loss": [0.8, 0.82, 0.79], "800, 200": [0.75, 0.774, 0.74]})
    assert "Worse than “loss”: “800, 200” (−" in " ".join(describe_factor(factor, gather_factor(factor)))


def test_one_training_each_of_a_loss_has_a_table_and_no_verdict() -> None:
    reader, runs = MemoryReader(), list[RunRecord]()
    for relu, loss in ((False, 0.03), (True, 0.04)):
        runs.append(make_run(len(runs), value=loss, params={"model.bottleneck_relu": relu}))
        reader.histories[runs[-1].run_id] = {"val/loss": [loss]}
    factor = open_factor(open_study(make_record(runs, objective={"metric": "val/loss"}), reader))
    frame = gather_factor(factor)
    assert frame["verdict"].tolist() == ["first", "–"]
    text = " ".join(describe_factor(factor, frame))
    assert text.endswith("“true” (+0.01000 in one pair, which tells nothing of other seeds).")


@pytest.mark.parametrize(
    ("values", "rest", "factor", "message"),
    [
        (BALANCE, [{}], "lr", "given 'lr'; varied has: training.balance$"),
        (BALANCE, [{"training.batch_size": n} for n in range(13)], "batch_size", "has 13 values, more than 12; see"),
        ({"loss": [0.5, 0.6], "none": [None, None]}, [{}], "balance", "val/accuracy was measured of 1 of its values"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    values: dict[str, list[float | None]], rest: list[dict[str, Any]], factor: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=f"^--factor: .*{message}"):
        opened(values, rest, factor=factor)


def test_where_nothing_varied_nothing_is_compared() -> None:
    with pytest.raises(InputError, match=r"^digits-cnn: nothing varied between its trials"):
        opened({"loss": [0.5, 0.6]})


def test_trials_of_a_random_search_have_no_partners() -> None:
    reader, runs = MemoryReader(), list[RunRecord]()
    for i in range(20):
        add(
            reader,
            runs,
            0.5 + i / 100,
            {"training.balance": ("loss", "none")[i % 2], "training.optimizer.lr": 1 / (i + 1)},
        )
    data = open_study(make_record(runs), reader, by="balance")
    n_calls = reader.n_calls
    assert build_comparison(data) == []
    assert reader.n_calls == n_calls  # no history is read for what is not there
    with pytest.raises(
        InputError, match=r"no complete trial has a partner with another value and the same seed, lr; .* report .* --by"
    ):
        open_factor(data, "balance")


# --- test ---------------------------------------------------------------------------------------------------------


def finalized() -> tuple[StudyRecord, MemoryReader]:
    """The study, and tests of the first trial of each value with three seeds of their own."""
    record, reader = study_of()
    record = replace(record, tags={"sweeper.study_uuid": "0" * 32})
    tests: list[RunRecord] = []
    for k, (name, (first, *_)) in enumerate(BALANCE.items()):
        for seed in (100, 101, 102):
            tags = {"sweeper.source_trial": str(5 * k), "sweeper.final_round": "1", "sweeper.best_epoch": "2"}
            value = first + 0.01 * ((seed * (k + 1)) % 3)
            add(reader, tests, value, {"training.balance": name, "seed": seed}, tags=tags, study="f")
    final = replace(make_record(tests, name="final"), name=f"{record.name}.final", tags={"sweeper.final_of": "0" * 32})
    reader.records = {record.name: record, final.name: final}
    return record, reader


def test_tests_are_compared_by_their_own_seeds() -> None:
    data = open_study(*finalized())
    factor = open_factor(data, metric="test/accuracy")
    frame = gather_factor(factor)
    assert frame["n_tests"].tolist() == [3, 3, 3]
    assert frame["n_pairs"].tolist() == [None, 3, 3]
    assert set(frame["value"][:2]) == {"loss", "sampler"}
    assert frame["verdict"].tolist()[-1] == "worse"
    assert "test/accuracy/truck" in frame.columns
    # Validation still speaks of the trials.
    by_value = frame.set_index("value")
    assert by_value.loc["loss", "val/accuracy"] == pytest.approx(0.8)


def test_a_study_of_tests_is_compared_by_its_own_runs() -> None:
    record, reader = finalized()
    of_study = gather_factor(open_factor(open_study(record, reader), part="test"))
    of_tests = gather_factor(open_factor(open_study(reader.records[f"{record.name}.final"], reader), part="test"))
    for key in ("value", "n_tests", "mean", "difference", "p_holm", "test/accuracy/truck"):
        assert of_tests[key].tolist() == of_study[key].tolist()


# --- section ------------------------------------------------------------------------------------------------------


def test_section_has_words_differences_and_a_table_of_each_part() -> None:
    note, *tables = build_comparison(open_study(*finalized()))
    assert isinstance(note, Note)
    assert isinstance(tables[1], Note)
    assert tables[1].text.startswith("By test accuracy, ")
    differences, on_test, val, test = (table for table in tables if isinstance(table, Table))
    keys = [table.key for table in (differences, on_test, val, test)]
    assert keys == ["differences", "differences-test", "val", "test"]
    assert [c.label for c in differences.columns] == [
        *("balance", "trainings", "validation accuracy (%)", "95 % interval", "difference to the first (points)"),
        *("its interval", "verdict", "better in", "p"),
    ]
    assert [c.label for c in val.columns] == ["balance", "trainings", "overall", "avg", *CLASSES]
    assert val.frame["class:cat:text"].tolist()[0] == "70.0 ± 1.6"
    assert differences.frame["better"].tolist() == ["", "2 of 5", "0 of 5"]


def test_section_is_for_one_factor() -> None:
    lrs = [{"training.optimizer.lr": lr} for lr in (1e-3, 1e-2)]
    record, reader = study_of(BALANCE, lrs)
    _, table, *_ = build_comparison(open_study(record, reader, by="balance"))
    assert isinstance(table, Table)
    assert table.title == "Values of balance by validation accuracy"
    # Without `by` all that varied is taken together, where there are seeds.
    _, table, *_ = build_comparison(open_study(record, reader))
    assert isinstance(table, Table)
    assert table.title == "Values of configuration by validation accuracy"
    singles = {name: values[:1] for name, values in BALANCE.items()}
    assert build_comparison(open_study(*study_of(singles, lrs))) == []


def test_a_regression_is_compared_by_its_losses() -> None:
    reader, runs = MemoryReader(), list[RunRecord]()
    for name, base in (("linear", 0.5), ("cnn", 0.1)):
        for seed in range(3):
            loss = base + 0.01 * seed * base
            metrics = {"val/loss": loss, "val/loss/y_0": loss / 2}
            params = {"data.name": "functions", "model.name": name, "seed": seed}
            runs.append(make_run(len(runs), value=loss, params=params, metrics=metrics))
            reader.histories[runs[-1].run_id] = {metric: [value] for metric, value in metrics.items()}
    data = open_study(make_record(runs, objective={"metric": "val/loss"}), reader)
    note, differences, losses = build_comparison(data)
    assert isinstance(note, Note)
    assert note.text.startswith("By validation loss, “cnn” is first of 2 values of model, with 0.1010 in the mean")
    assert isinstance(losses, Table)
    assert losses.title == "Losses in validation, by model"
    assert [c.label for c in losses.columns] == ["model", "trainings", "loss", "y_0"]
    assert isinstance(differences, Table)


def test_same_runs_same_bytes(tmp_path: Path) -> None:
    record, reader = finalized()
    pages, numbers = [], []
    for i, each in enumerate((record, shuffled(record))):
        sections = choose_sections(["comparison"])
        files = write_report([each], reader, tmp_path / str(i), sections=sections)
        pages.append(files.page.read_bytes() + files.markdown.read_bytes())
        factor = open_factor(open_study(each, reader))
        numbers.append(json.dumps(factor_dict(factor, gather_factor(factor))))
    assert pages[0] == pages[1]
    assert numbers[0] == numbers[1]


def test_values_that_were_not_tested_are_not_in_the_tables_of_test() -> None:
    record, reader = finalized()
    final = reader.records[f"{record.name}.final"]
    kept = [run for run in final.runs if run.params["training.balance"] != "none"]
    reader.records[final.name] = replace(final, runs=kept)
    by_key = {block.key: block for block in build_comparison(open_study(record, reader)) if isinstance(block, Table)}
    assert set(by_key["val"].frame["value"]) == {"loss", "sampler", "none"}
    assert set(by_key["test"].frame["value"]) == {"loss", "sampler"}


def test_many_values_of_one_verdict_are_counted() -> None:
    near = {f"value {k}": [0.80 - 0.001 * k, 0.84 + 0.001 * k, 0.79 - 0.002 * k] for k in range(6)}
    text = " ".join(describe_factor(factor := opened(near), gather_factor(factor)))
    first = factor.ranked[0].label
    told = rf"None of the 5 others can be told apart from “{first}”: differences of −0\.\d to [−+]?0\.\d points\."
    assert re.search(told, text)
    assert text.count("value") < 5
    far = near | {"far": [0.30, 0.341, 0.289]}
    text = " ".join(describe_factor(factor := opened(far), gather_factor(factor)))
    assert f"Worse than “{first}”: “far” (−" in text
    assert f"5 of the 6 others cannot be told apart from “{first}”: “value " in text
    worse = {"best": [0.8, 0.81, 0.79]} | {f"v{k}": [0.3 + k / 99, 0.31 + k / 99, 0.292 + k / 99] for k in range(4)}
    text = " ".join(describe_factor(factor := opened(worse), gather_factor(factor)))
    assert "All 4 others are worse than “best”: differences of −" in text


def test_a_difference_of_shares_is_at_most_one() -> None:
    factor = opened({"loss": [0.9, 0.6], "none": [0.5, 0.7]})
    row = gather_factor(factor).iloc[1]
    assert (row["difference_low"], row["difference_high"]) == (-1.0, 1.0)
    text = " ".join(describe_factor(factor, gather_factor(factor)))
    assert "With two pairs of a difference, its interval is rarely" in text
