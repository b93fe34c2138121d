"""How `--help` looks: arguments are named as in the documentation, and examples stand on lines of their own.

Typer's own help has `{FILE...}...` for several files, adds Python's types to names, and breaks long examples.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

__all__ = ["use_our_help"]


class _Command(TyperCommand):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for parameter in self.params:
            if parameter.metavar is None and not getattr(parameter, "is_flag", False):
                parameter.metavar = str(parameter.name).upper()

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        options = [] if self._arguments == self.params != [] else [str(self.options_metavar)]
        return [*options, *map(_usage, self._arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is None:
                continue
            if parameter in self._arguments:
                arguments.append((str(parameter.metavar), record[1]))
            else:
                options.append(record)
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        formatter.write_paragraph()
        for line in filter(None, map(str.strip, (self.epilog or "").splitlines())):
            formatter.write(f"  {line}\n" if line.startswith("Example") else f"    {line}\n")

    @property
    def _arguments(self) -> list[Any]:
        return [parameter for parameter in self.params if parameter.param_type_name == "argument"]


def _usage(argument: Any) -> str:
    return str(argument.metavar) if argument.required else f"[{argument.metavar}]"


def use_our_help(app: typer.Typer) -> None:
    """Have all commands of a program, those of its groups too, show such help."""
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            use_our_help(group.typer_instance)
