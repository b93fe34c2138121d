"""The compose file, as Docker reads it, and its services as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")
GRACE_SECONDS = 20


class MissingVariableError(Exception):
    """A variable without a default is not set; Docker ends with such a message."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """A text with the values of its variables."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if kind == ":?":
            raise MissingVariableError(f"{name}: {rest}")
        return str(rest or "")

    return VARIABLE.sub(value, text)


def read_compose(variables: Mapping[str, str], name: str = "compose.yaml") -> dict[str, Any]:
    """The compose file with its variables replaced."""

    def visit(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: visit(child) for key, child in node.items()}
        if isinstance(node, list):
            return [visit(child) for child in node]
        return interpolated(node, variables) if isinstance(node, str) else node

    composed: dict[str, Any] = visit(YAML(typ="safe").load(DOCKER / name))
    return composed


class Native:
    """Services of the compose file, run as processes: their commands and their environment are those of the file, with
    other ports and folders, and loopback in the place of a network.

    Args:
        composed: The file.
        places: What is replaced in commands and environments, in order.
        environment: What all have besides.
        folder: Where they run, and log.
    """

    def __init__(
        self, composed: Mapping[str, Any], *, places: Mapping[str, str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self._services = composed["services"]
        self._places = places
        self._environment = environment
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def placed(self, text: str) -> str:
        """A text with this machine's ports and folders."""
        for of_compose, here in self._places.items():
            text = text.replace(of_compose, here)
        return text

    def environment(self, service: str) -> dict[str, str]:
        """That a container would have, on top of this machine's."""
        own = self._services[service].get("environment", {})
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SWEEPER_", "MLFLOW_"))}
        placed = {key: self.placed(str(value)) for key, value in own.items()}
        return {**inherited, "PATH": path, **self._environment, **placed}

    def command(self, service: str, arguments: list[str] | None = None) -> list[str]:
        """What a container would run: of the image's entry point or its own, and its command or these arguments."""
        entrypoint, *rest = self._services[service].get("entrypoint", ["with-secrets"])
        assert entrypoint == "with-secrets"
        command = self._services[service]["command"] if arguments is None else arguments
        return [str(DOCKER / "with-secrets"), *rest, *(self.placed(str(word)) for word in command)]

    def start(self, service: str, *more: str) -> subprocess.Popen[bytes]:
        """Start a service; `more` is added to its command."""
        with (self._folder / f"{service}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.command(service), *more],
                cwd=self._folder,
                env=self.environment(service),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def is_healthy(self, service: str) -> bool:
        """Run its health check once."""
        kind, program, *arguments = self._services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [sys.executable if program == "python" else program, *map(self.placed, arguments)]
        checked = subprocess.run(words, env=self.environment(service), capture_output=True, timeout=60)
        return checked.returncode == 0

    def log(self, service: str) -> str:
        """What it has printed."""
        return (self._folder / f"{service}.log").read_text(errors="replace")

    def run(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`docker compose run --rm SERVICE ARGUMENT...`"""
        return subprocess.run(
            self.command(service, list(arguments)),
            cwd=self._folder,
            env=self.environment(service),
            capture_output=True,
            text=True,
            timeout=240,
        )

    def close(self) -> None:
        """End all as `docker stop` does, the last first."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self._processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
