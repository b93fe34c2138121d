"""Workspaces, the command line in them, and a finished sweep: those of tests/sweep."""

from __future__ import annotations

from tests.sweep.conftest import cache_dir, cli, folder, one_thread, own_server, workspace

__all__ = ["cache_dir", "cli", "folder", "one_thread", "own_server", "workspace"]
