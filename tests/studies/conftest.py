"""The fixtures of sweeps."""

from tests.sweep.conftest import cache_dir, cli, folder, one_thread

__all__ = ["cache_dir", "cli", "folder", "one_thread"]
