"""YAML 1.2 as data only: types, what is refused, and bounds on what a file can cost."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import StudyFileError
from sweeper.study.yaml import parse_scalar, parse_yaml
from tests.study.conftest import check, faults, plain


def refused(text: str) -> str:
    with pytest.raises(StudyFileError) as raised:
        parse_yaml(text, "f.yaml")
    (fault,) = raised.value.faults
    return str(fault)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E-4", 1e-4),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("1_000", 1000),
        ("+1", 1),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2024-05-01", "2024-05-01"),
        ("=", "="),
        ("'1'", "1"),
        ("[1, two, 3.0]", [1, "two", 3.0]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_scalars_are_read_as_yaml_1_2(text: str, value: Any) -> None:
    read = parse_yaml(f"field: {text}", "f.yaml").data["field"]
    assert (read, type(read)) == (value, type(value))
    assert parse_scalar(text) == value


@pytest.mark.parametrize("text", ["", "[1", "a: b: c", "!!python/object:os.system x", "!tag x"])
def test_a_value_of_the_command_line_that_is_not_yaml_stands_for_itself(text: str) -> None:
    assert parse_scalar(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n\tc: 1\n", "f.yaml:3: not valid YAML: while scanning for the next token found character '\\t'"),
        ("a: 1\nb: [1, 2\n", "f.yaml:3: not valid YAML: while parsing a flow sequence"),
        ("a: 1\nb: c: d\n", "f.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: 1\nb: *c\n", "f.yaml:2: not valid YAML: found undefined alias 'c'"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: not valid YAML: expected a single document"),
        ("a: 1\nb: \x00\n", "f.yaml:2: not valid YAML: the character U+0000 is not allowed"),
        ("", "f.yaml: the file is empty"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    assert refused(text).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!!python/object:os.system 3", "given the tag !!python/object:os.system; allowed: plain data without tags"),
        ("!mine 3", "given the tag !mine; allowed: plain data without tags"),
        ("!!binary aGVsbG8=", "given the tag !!binary; allowed: plain data without tags"),
        ("!!set {a, b}", "given the tag !!set; allowed: plain data without tags"),
        ("!!map 3", "given the tag !!map; allowed: plain data without tags"),
        ("!!int x", "given 'x'; allowed: what can be read as int"),
        ("!!bool x", "given 'x'; allowed: what can be read as bool"),
        ("9" * 5000, "given '9999"),
    ],
)
def test_more_than_data_is_refused_where_it_stands(value: str, message: str) -> None:
    text = plain(("epochs: 3", f"epochs: {value}"), ("name: plain", "name: a b"))
    other, fault = faults(text)
    assert other.startswith("s.yaml:1: name: ")
    assert fault.startswith(f"s.yaml:6: trial.training.epochs: {message}")


def test_keys() -> None:
    twice, merge, listed = (
        faults(plain(("epochs: 3", replacement)))[0]
        for replacement in ("epochs: 3\n    epochs: 4", "epochs: 3\n    <<: {a: 1}", "epochs: 3\n    [a]: 4")
    )
    assert twice == "s.yaml:7: trial.training.epochs: given twice in one mapping, first on line 6; allowed: once"
    assert merge.startswith("s.yaml:7: trial.training: given `<<`: merge keys are not part of YAML 1.2")
    assert listed == "s.yaml:7: trial.training: given a list or mapping as a key; allowed: a plain word"


@pytest.mark.parametrize(
    "text", ["x: " + "[" * 5000, "x: " + "{a: " * 5000, "".join(f"{' ' * i}a:\n" for i in range(500)), "a: &a [*a]\n"]
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert refused(text).endswith("nested too deeply; allowed: at most 50 levels")


def test_a_billion_laughs_are_refused() -> None:
    lines = ["a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [
        f"{now}: &{now} [{', '.join([f'*{last}'] * 9)}]" for last, now in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert "too many values, aliases counted; allowed: at most" in refused("\n".join(lines))


def test_a_large_file_is_refused() -> None:
    assert refused("# " + "x" * 1_000_000) == "f.yaml: given 1000002 bytes; allowed: at most 1000000"


@pytest.mark.parametrize(("text", "given"), [("- 1\n", "[1]"), ("text\n", "'text'"), ("null\n", "null")])
def test_what_is_not_a_mapping_is_refused(text: str, given: str) -> None:
    assert faults(text) == [f"s.yaml:1: given {given}; allowed: a mapping with name and trial"]


def test_an_alias_may_stand_for_a_distribution() -> None:
    optimizer = """optimizer:
      choice:
        - {name: adam, lr: &lr {float: [1e-3, 1e-1], log: true}}
        - {name: sgd, lr: *lr}"""
    space = check(plain(("optimizer: adam", optimizer))).study.trial
    assert {"training.optimizer[adam].lr", "training.optimizer[sgd].lr"} <= space.distributions.keys()


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    check("\ufeff" + plain().replace("\n", "\r\n"))
