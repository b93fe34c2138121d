"""Finding plugins: modules and files that a user names, and entry points that installed packages declare."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from sweeper.errors import PluginError
from sweeper.study.config import registry
from sweeper.study.plugins.kinds import KINDS
from sweeper.study.plugins.register import add

__all__ = [
    "load_all_entry_points",
    "load_entry_point",
    "load_plugin",
    "load_plugins",
    "loaded_plugins",
    "plugin_tags",
    "refuse_while_importing",
    "resolve_plugin",
    "sources_of",
]

_loaded: dict[str, ModuleType] = {}
_importing: list[str] = []


def resolve_plugin(plugin: str, folder: Path) -> str:
    """A plugin in the form in which a process in any folder finds it: a module that is installed by its name, all else
    as the path of its file.

    Args:
        plugin: `my_package.models`, or `my_models.py`.
        folder: Where files and modules are looked for that are not installed.

    Raises:
        PluginError: There is no such file or module.
    """
    if plugin.endswith(".py") or "/" in plugin:
        path = (folder / Path(plugin).expanduser()).resolve()
        if not path.is_file():
            raise PluginError(f"plugin {plugin!r}: there is no file {path}")
        return str(path)
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", plugin):
        raise PluginError(f"plugin {plugin!r}: allowed: the name of a module, or the path of a file that ends in .py")
    base = folder.joinpath(*plugin.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file() and "." not in plugin and path.name != "__init__.py":
            return str(path.resolve())
    try:
        found = importlib.util.find_spec(plugin)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise PluginError(f"plugin {plugin!r}: no module of that name is installed, and {folder} has no {plugin}.py")
    return plugin


def load_plugin(plugin: str) -> None:
    """Import a plugin, once, which registers what it has.

    Args:
        plugin: As `resolve_plugin` gives it.

    Raises:
        PluginError: It cannot be imported, or what it has cannot be registered.
    """
    if plugin in _loaded:
        return
    _importing.append(plugin)
    before = {id(registration) for registration in registry.all()}
    try:
        module = _import_file(Path(plugin)) if plugin.endswith(".py") else importlib.import_module(plugin)
        if all(id(registration) in before for registration in registry.all()) and not _has_registered(module):
            raise PluginError(
                f"plugin {plugin!r} registers nothing; needed: above each function or class that it adds, a decorator "
                f"with the name that study files use, such as @sweeper.model({_first_name(module)!r}); there are "
                f"{', '.join(f'@sweeper.{kind}' for kind in KINDS)} (docs/how-to/extend.md)"
            )
        _loaded[plugin] = module
    except PluginError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError(f"plugin {plugin!r} cannot be imported: {_words(error)}") from error
    finally:
        _importing.pop()


def _has_registered(module: ModuleType) -> bool:
    """Whether something that is registered is from a module, or stands in it: it may have been imported before."""
    inside = {id(value) for value in vars(module).values()}
    own = f"{module.__name__}."
    return any(id(r.function) in inside or f"{r.function.__module__}.".startswith(own) for r in registry.all())


def _first_name(module: ModuleType) -> str:
    """Of the first function or class that a module defines, for an example."""
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
    return next((name for name in own if not name.startswith("_")), "mine").replace("_", "-").lower()


def refuse_while_importing() -> None:
    """Refuse to begin a sweep while a plugin is imported: each worker imports it, and would begin a sweep of its own.

    Raises:
        PluginError: A plugin is being imported.
    """
    if _importing:
        raise PluginError(
            f"{_importing[-1]} starts a sweep when it is imported, and every worker imports it for what it registers; "
            'put what starts it under `if __name__ == "__main__":`'
        )


def sources_of(tree: object) -> list[str]:
    """What other processes have to import for the parts that a configuration or a space names: the files of those
    that this process has registered by itself, in a script or in a module that it imported.

    Args:
        tree: Plain data, as of a study's `trial`.

    Raises:
        PluginError: Such a part is in no file, as in a cell of a notebook.
    """
    found: dict[str, None] = {}
    names = set(_names_in(tree))
    loaded = {str(Path(module.__file__).resolve()) for module in _loaded.values() if module.__file__}
    for r in registry.all():
        if r.name not in names or r.package or r.kind in ("launcher", "report_section"):
            continue
        path = Path(r.source).resolve() if r.source else None
        if path is not None and (str(path) in loaded or r.function.__module__ in _loaded):
            continue
        if path is None or not path.is_file() or path.suffix != ".py":
            raise PluginError(
                f"{KINDS[r.kind].words} {r.name!r} is in no file that workers could import (it is from "
                f"{r.source or r.function.__module__}); write it to a file and name that in `plugins`, or "
                'train in this process: launcher="inline"'
            )
        found[str(path)] = None
    return list(found)


def _names_in(tree: object) -> Iterator[str]:
    """Each text in plain data: a part is named by itself or by its `name`, and stands anywhere among choices."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _names_in(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _names_in(value)


def loaded_plugins() -> tuple[str, ...]:
    """Plugins that were loaded by name, in order."""
    return tuple(_loaded)


def plugin_tags() -> dict[str, str]:
    """What is registered and where it comes from, for the tags of runs: `model resmlp (resmlp_example 0.1.0)`, or a
    file with the beginning of its SHA-256."""
    found = []
    for r in registry.all():
        origin = r.package
        if not origin and r.source and Path(r.source).is_file():
            digest = hashlib.sha256(Path(r.source).read_bytes()).hexdigest()[:12]
            origin = f"{Path(r.source).name}, sha256 {digest}"
        found.append(f"{KINDS[r.kind].words} {r.name} ({origin or r.function.__module__})")
    return {"sweeper.plugins": "; ".join(found)} if found else {}


def load_all_entry_points() -> None:
    """Register everything that installed packages declare; for what lists all that there is.

    Raises:
        PluginError: One of them cannot be loaded.
    """
    for kind, entries in _entries().items():
        for entry in entries:
            _load_entry(kind, entry)


def load_entry_point(kind: str, name: str) -> None:
    """Register what an installed package declares under a name, if one does.

    Raises:
        PluginError: It cannot be loaded.
    """
    for entry in _entries().get(kind, ()):
        if entry.name == name:
            _load_entry(kind, entry)
            return


@cache
def _entries() -> dict[str, tuple[EntryPoint, ...]]:
    found = entry_points()
    return {
        kind.name: tuple(sorted(set(found.select(group=kind.group)), key=lambda e: (e.name, e.value)))
        for kind in KINDS.values()
        if kind.group
    }


def _load_entry(kind: str, entry: EntryPoint) -> None:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.module
    label = f"{KINDS[kind].words} {entry.name!r} of {package}"
    try:
        function = entry.load()
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{label}: {entry.value} cannot be loaded: {_words(error)}") from error
    registered = registry.get(kind, entry.name)
    facts = dict(registered.facts) if registered is not None and registered.function is function else {}
    add(KINDS[kind], entry.name, function, facts=facts, package=package)


def _import_file(path: Path) -> ModuleType:
    """Import a file under a name of its own, with its folder on the path, so that it finds modules beside it."""
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"sweeper_plugin_{digest}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _words(error: BaseException) -> str:
    """The error, and the line that raised it, for who wrote the plugin."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename and f.filename != __file__
    ]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"


def load_plugins(plugins: Iterable[str]) -> None:
    """`load_plugin` for each."""
    for plugin in plugins:
        load_plugin(plugin)
