"""The reference of Python, computed from the source of what `sweeper` exports: signatures, fields and docstrings."""

from __future__ import annotations

import ast
import importlib.util
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from study_file_page import NOTE

import sweeper

SECTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Studies",
        "What is searched. Fields are those of a [study file](study-file.md).",
        ("Study", "FloatDistribution", "IntDistribution", "ChoiceDistribution", "RepeatDistribution"),
    ),
    ("Sweeps", "Running them.", ("start", "start_detached", "Sweep", "enqueue", "promote", "finalize")),
    (
        "Results",
        "What was tracked.",
        ("runs", "best_runs", "TrackedRun", "final_runs", "figures", "reproduce", "register"),
    ),
    (
        "Parts of your own",
        "Decorators for functions that a study can name; see [Add a model, a data set, a loss](how-to/extend.md).",
        (
            "model",
            "dataset",
            "Images",
            "loss",
            "optimizer",
            "schedule",
            "augmentation",
            "metric",
            "report_section",
            "launcher",
            "training_loop",
            "Trial",
        ),
    ),
    ("Errors", "The tree of errors is at the top of `sweeper/errors.py`.", ("SweeperError",)),
)
"""Heading, a sentence and names of each section. A public name that stands in none fails a test."""

_INTRODUCTION = f"""{NOTE}
# Python

Everything below is imported from `sweeper`. [Ask from Python](how-to/python.md) shows it in use. Types are those that
mypy sees; the package is typed (`py.typed`). `Workspace` is `sweeper.tracking.workspace.Workspace`: where a study is
stored, by default the current folder.
"""
_PARTS = ("Args", "Returns", "Raises")
_INTERNAL = ("suggest", "to_raw")
"""Methods of distributions by which values are drawn and studies are stored."""


def python_page() -> str:
    """The page."""
    parts = [_INTRODUCTION]
    for heading, about, names in SECTIONS:
        parts.append(f"## {heading}\n\n{about}\n")
        parts += [_entry(name) for name in names]
    return "\n".join(parts).rstrip("\n") + "\n"


@cache
def _module(name: str) -> ast.Module:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _entry(name: str) -> str:
    body = _module(sweeper._HOMES[name]).body  # where each public name lives
    node = next(n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name)
    if isinstance(node, ast.ClassDef):
        return _class(node)
    return f"### `sweeper.{name}`\n\n{_signature(node, f'sweeper.{name}')}\n{_documentation(node)}"


def _class(node: ast.ClassDef) -> str:
    parts = [f"### `sweeper.{node.name}`\n"]
    constructor = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if constructor is not None and "Args:" in (ast.get_docstring(node) or ""):
        parts.append(_signature(constructor, f"sweeper.{node.name}", n_skipped=1, returns=False))
    parts.append(_documentation(node))
    fields = [*_fields(node.body), *(_fields(constructor.body) if constructor else ())]
    properties = [n for n in _public_functions(node) if "property" in _decorators(n)]
    if fields or properties:
        parts.append("| Attribute | Type | What it is |\n|---|---|---|")
        parts += [f"| `{field}` | {kind} | {about} |" for field, kind, about in fields]
        parts += [
            f"| `{each.name}` | {_code(ast.unparse(each.returns)) if each.returns else ''} | {_cell(_text(each))} |"
            for each in properties
        ]
        parts.append("")
    for method in _public_functions(node):
        if "property" not in _decorators(method):
            parts.append(f"#### `{node.name}.{method.name}`\n")
            parts.append(_signature(method, method.name, n_skipped=1))
            parts.append(_documentation(method))
    return "\n".join(parts)


def _public_functions(node: ast.ClassDef) -> list[ast.FunctionDef]:
    """Those with a docstring; what has none is called by sweeper itself."""
    functions = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name not in _INTERNAL]
    return [n for n in functions if not n.name.startswith("_") and ast.get_docstring(n)]


def _decorators(node: ast.FunctionDef) -> set[str]:
    return {ast.unparse(decorator) for decorator in node.decorator_list}


def _fields(body: list[ast.stmt]) -> Iterator[tuple[str, str, str]]:
    """Public fields with a type or a docstring: name, type and default, docstring."""
    for statement, following in zip(body, [*body[1:], None], strict=True):
        about = following.value.value if _is_text(following) else ""  # type: ignore[union-attr]  # by _is_text
        if isinstance(statement, ast.AnnAssign):
            target, kind = statement.target, _code(_type(statement.annotation))
            default = _default(statement.value)
        elif isinstance(statement, ast.Assign) and about:
            target, kind, default = statement.targets[0], "", ""
        else:
            continue
        name = target.attr if isinstance(target, ast.Attribute) else ast.unparse(target)
        if not name.startswith("_"):
            yield name, kind + default, _cell(str(about))


def _is_text(statement: ast.stmt | None) -> bool:
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant and isinstance(statement.value.value, str)  # type: ignore[union-attr]  # narrowed above


def _type(annotation: ast.expr) -> str:
    """A type without what pydantic is told beside it."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        assert isinstance(annotation.slice, ast.Tuple)
        return _type(annotation.slice.elts[0])
    return ast.unparse(annotation)


def _default(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("Field", "field"):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    return "" if value is None else f" = `{ast.unparse(value)}`"


def _signature(node: ast.FunctionDef, name: str, *, n_skipped: int = 0, returns: bool = True) -> str:
    """A call with its types, a line for each argument where one line is too long. `n_skipped` leaves out `self`."""
    arguments = _arguments(node.args)[n_skipped:]
    result = f" -> {ast.unparse(node.returns)}" if node.returns is not None and returns else ""
    line = f"{name}({', '.join(arguments)}){result}"
    if len(line) > 100:
        line = f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){result}"
    return f"```text\n{line}\n```\n"


def _arguments(arguments: ast.arguments) -> list[str]:
    plain = arguments.posonlyargs + arguments.args
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    parts = [_argument(each, default) for each, default in zip(plain, defaults, strict=True)]
    if arguments.vararg:
        parts.append("*" + _argument(arguments.vararg, None))
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_argument(*each) for each in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return parts + (["**" + _argument(arguments.kwarg, None)] if arguments.kwarg else [])


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    return argument.arg + kind + ("" if default is None else f" = {ast.unparse(default)}")


def _text(node: ast.ClassDef | ast.FunctionDef) -> str:
    text = ast.get_docstring(node)
    assert text, f"{node.name} has no docstring"
    return text


def _documentation(node: ast.ClassDef | ast.FunctionDef) -> str:
    """A docstring as Markdown: its parts as lists."""
    text, *parts = re.split(rf"^({'|'.join(_PARTS)}):\n", _text(node), flags=re.MULTILINE)
    lines = [text.strip() + "\n"]
    for title, part in zip(parts[::2], parts[1::2], strict=True):
        inside = textwrap.dedent(part).strip()
        if title == "Returns":
            lines.append(f"**Returns** {' '.join(inside.split())}\n")
            continue
        lines.append(f"**{'Arguments' if title == 'Args' else title}**\n")
        for item in re.split(r"\n(?=\S)", inside):
            name, _, about = item.partition(":")
            lines.append(f"- `{name}`: {' '.join(about.split())}")
        lines.append("")
    return "\n".join(lines)


def _code(text: str) -> str:
    return "`" + text.replace("|", r"\|") + "`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
