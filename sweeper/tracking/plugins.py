"""Which plugins a study in this workspace needs. Only what a user named here is ever imported, in a study file or by
`--plugin`: a database says what a study needs, but it cannot make this machine run code."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.errors import PluginError
from sweeper.study.plugins.sources import load_plugins, loaded_plugins
from sweeper.tracking.workspace import Workspace, read_json, write_json

__all__ = ["known_plugins", "load_plugins_of", "remember_plugins"]


def remember_plugins(workspace: Workspace, name: str, plugins: Sequence[str]) -> None:
    """Note that a user has named these for a study, so that other processes load them for it."""
    path = workspace.plugins_file(name)
    known = known_plugins(workspace, name)
    new = [*known, *(plugin for plugin in plugins if plugin not in known)]
    if new != known:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, new)


def load_plugins_of(workspace: Workspace, name: str, needed: Sequence[str] = ()) -> None:
    """Import what a user has named for a study in this workspace.

    Args:
        workspace: Where the study is.
        name: Its name.
        needed: What the study says that it needs, as it is stored.

    Raises:
        PluginError: It needs others, which nobody has named here; or one cannot be imported.
    """
    known = known_plugins(workspace, name)
    unknown = [plugin for plugin in needed if plugin not in known and plugin not in loaded_plugins()]
    if unknown and not loaded_plugins():
        raise PluginError(
            f"the study {name!r} needs the plugin {unknown[0]!r}, which nobody has named in this workspace, and a "
            f"database is not trusted to name code; if you know it, name it: sweeper --plugin {unknown[0]} ..."
        )
    load_plugins(known)


def known_plugins(workspace: Workspace, name: str) -> list[str]:
    """What a user has named for a study in this workspace."""
    known = read_json(workspace.plugins_file(name))
    return [plugin for plugin in known if isinstance(plugin, str)] if isinstance(known, list) else []
