"""The Dockerfile and the compose files, read as Docker reads them."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docker.compose import DOCKER, ROOT, MissingVariableError, read_compose

FILES = {
    "POSTGRES_PASSWORD_FILE": "secrets/postgres_password",
    "MLFLOW_PASSWORD_FILE": "secrets/mlflow_password",
    "MLFLOW_SECRET_KEY_FILE": "secrets/mlflow_secret_key",
    "RAY_TOKEN_FILE": "secrets/ray_token",
}
SERVICES: dict[str, Any] = read_compose(FILES)["services"]


def pins(path: Path) -> dict[str, str]:
    """Versions by name."""
    lines = [line.split()[0] for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("name", FILES)
def test_a_password_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(MissingVariableError, match=name):
        read_compose({key: value for key, value in FILES.items() if key != name})


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert "privileged" not in service
    assert service.get("user", "not root") not in ("root", "0")
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for key, value in service.get("environment", {}).items():
        assert "PASSWORD" not in key or key.endswith("_FILE")
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), "a password in a URL"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_whether_it_is_healthy_and_waits_for_others_until_they_are(name: str) -> None:
    service = SERVICES[name]
    assert ("healthcheck" in service) == (name != "sweeper")  # that one is a command
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


def test_only_mlflow_is_reached_from_outside() -> None:
    composed = read_compose(FILES)
    assert composed["networks"]["inside"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["mlflow"]
    assert [name for name, service in SERVICES.items() if service["networks"] != ["inside"]] == ["mlflow"]


def test_what_is_named_is_there() -> None:
    composed = read_compose(FILES)
    for service in SERVICES.values():
        for secret in (*service.get("secrets", ()), *service.get("environment", {}).get("NEEDS_SECRETS", "").split()):
            assert secret in composed["secrets"]
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in composed["volumes"] or source == "./data" or (DOCKER / source).is_file()
    assert read_compose({}, "compose.gpu.yaml")["services"].keys() <= SERVICES.keys()


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_runs_as_no_administrator_and_has_what_it_copies() -> None:
    users = [argument for name, argument in instructions() if name == "USER"]
    assert users == ["10001:10001"]
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    kept = [line[1:] for line in ignored if line.startswith("!")]
    for name, argument in instructions():
        words = [word for word in argument.split() if not word.startswith("--")]
        if name == "COPY" and "--from=build" not in argument:
            for source in words[:-1]:
                assert (ROOT / source).exists()
                assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), source


def test_the_image_has_the_versions_of_the_lock() -> None:
    of_project, of_image = pins(ROOT / "requirements.lock"), pins(DOCKER / "requirements.lock")
    of_image.pop("setuptools")  # `pip freeze` leaves it out
    assert {name: version for name, version in of_image.items() if of_project.get(name) != version} == {}
    for line in (DOCKER / "requirements.lock").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line), line
    defaults = dict(argument.split("=") for name, argument in instructions() if name == "ARG")
    assert defaults["TORCH_VERSION"] == of_project["torch"]
    assert defaults["TORCHVISION_VERSION"] == of_project["torchvision"]


def test_passwords_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "postgres_password").write_text("a word\n")

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(DOCKER / "with-secrets"), "sh", "-c", "printf '%s' \"$PGPASSWORD\""],
            env={"PATH": os.environ.get("PATH", os.defpath), "SECRETS_DIR": str(tmp_path), **environment},
            capture_output=True,
            text=True,
        )

    assert run().stdout == "a word"
    missing = run(NEEDS_SECRETS="postgres_password mlflow_password")
    assert missing.returncode == 2
    assert f"{tmp_path}/mlflow_password is missing" in missing.stderr
    (tmp_path / "postgres_password").write_text("")
    empty = run()
    assert empty.returncode == 2
    assert "postgres_password is empty" in empty.stderr


def test_docker_compose_takes_the_files(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    environment = {**os.environ, **{key: str(tmp_path / value) for key, value in FILES.items()}}
    command = [docker, "compose", "-f", str(DOCKER / "compose.yaml"), "-f", str(DOCKER / "compose.gpu.yaml"), "config"]
    checked = subprocess.run([*command, "--quiet"], env=environment, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
