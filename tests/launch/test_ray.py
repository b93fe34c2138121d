"""What the Ray launcher does beside what every launcher does: places, waits for room, ends with its driver."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from sweeper.errors import InputError
from sweeper.launch.launcher import Launcher, WorkerSlot
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Event, WorkerDied, WorkerReady
from sweeper.launch.node import name_place, places_of_node
from sweeper.launch.placement import Placement, plan_cluster, plan_workers
from sweeper.places import Places
from tests.data.conftest import MakeFolder
from tests.launch.conftest import RayNode
from tests.ray_cluster import workers_on

if TYPE_CHECKING:
    from sweeper.launch.ray import RayLauncher

GUARD_SECONDS = 120.0
ATTEMPT: dict[str, Any] = {
    "attempt": 1,
    "metric": "val/accuracy",
    "maximize": True,
    "at": "best",
    "keep_model": False,
    "prunable": False,
    "checkpoint_seconds": 1000.0,
}
ON_CLUSTER = pytest.mark.xdist_group("ray")


def build_launcher(
    on: RayNode, cache_dir: Path, log_dir: Path, n: int = 1, *, n_cpus: float = 1.0, places: Places | None = None
) -> RayLauncher:
    """A launcher on a cluster, not yet started."""
    from sweeper.launch.ray import RayLauncher

    slots = [WorkerSlot(index=i, device="cpu", n_threads=1, n_cpus=n_cpus) for i in range(n)]
    places = places or Places(cache_dir=cache_dir)
    return RayLauncher(slots, places=places, log_dir=log_dir, address=on.cluster.address)


def wait_until_gone(processes: list[psutil.Process]) -> None:
    assert not psutil.wait_procs(processes, timeout=GUARD_SECONDS)[1]


def wait_for_workers(on: RayNode, n: int) -> list[psutil.Process]:
    deadline = time.monotonic() + GUARD_SECONDS
    while len(found := workers_on(on.node)) < n:
        assert time.monotonic() < deadline, f"{len(found)} workers"
        time.sleep(0.1)
    return found


def poll_for(launcher: Launcher, kind: type[WorkerReady] | type[WorkerDied]) -> WorkerReady | WorkerDied:
    (event,) = poll_for_all(launcher, kind, 1)
    assert isinstance(event, WorkerReady | WorkerDied)
    return event


def poll_for_all(launcher: Launcher, kind: type[Event], n: int) -> list[Event]:
    """The first n events of a kind, before which nothing happens but epochs."""
    found: list[Event] = []
    deadline = time.monotonic() + GUARD_SECONDS
    while len(found) < n:
        assert time.monotonic() < deadline, f"{len(found)} events came"
        for event in launcher.poll(0.1):
            if not isinstance(event, EpochDone):
                assert isinstance(event, kind), event
                found.append(event)
    assert len(found) == n
    return found


@ON_CLUSTER
def test_closing_at_once(ray_node: RayNode, cache_dir: Path, tmp_path: Path) -> None:
    launcher = build_launcher(ray_node, cache_dir, tmp_path / "workers", 3)
    launcher.start()
    processes = wait_for_workers(ray_node, 2)  # the third has no room
    launcher.close(kill=True)  # while they import
    wait_until_gone(processes)


@ON_CLUSTER
def test_a_lost_actor_and_one_that_waits_for_room(ray_node: RayNode, cache_dir: Path, tmp_path: Path) -> None:
    launcher = build_launcher(ray_node, cache_dir, tmp_path / "workers", 2, n_cpus=2.0)
    launcher.start()
    first = poll_for(launcher, WorkerReady)
    assert isinstance(first, WorkerReady)
    (worker,) = workers_on(ray_node.node)
    assert worker.pid == first.pid
    actor = worker.parent()
    assert actor is not None
    actor.kill()
    died = poll_for(launcher, WorkerDied)
    assert isinstance(died, WorkerDied)
    assert (died.worker, died.why) == (first.worker, "its node or its Ray actor was lost")
    assert died.output
    wait_until_gone([worker])
    second = poll_for(launcher, WorkerReady)
    assert second.worker != first.worker, "the one that waited has its place"
    launcher.close()


@ON_CLUSTER
def test_a_folder_that_is_not_shared(ray_node: RayNode, cache_dir: Path, tmp_path: Path) -> None:
    log_dir = tmp_path / "workers"
    launcher = build_launcher(ray_node, cache_dir, log_dir)
    log_dir.mkdir()
    launcher._start_worker(launcher.slots[0])
    log_dir.rmdir()
    died = poll_for(launcher, WorkerDied)
    assert isinstance(died, WorkerDied)
    assert f"has no folder {log_dir}" in died.why
    assert not log_dir.exists(), "nothing is written where nobody would find it"
    launcher.close()


COUNTING = """
import os
import sys
from pathlib import Path

import sweeper

log = os.open(Path(__file__).with_name("opened"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def write_down(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".png"):
        os.write(log, f"{os.getpid()} {arguments[0]}\\n".encode())


sys.addaudithook(write_down)


@sweeper.metric("nothing")
def nothing(predictions, labels):
    return 0.0  # a plugin has to register something
"""


@ON_CLUSTER
def test_pictures_are_decoded_once_on_each_node(ray_node: RayNode, make_folder: MakeFolder, tmp_path: Path) -> None:
    """Workers write down each picture that they open."""
    pictures = make_folder({"cat": 40, "dog": 40})
    plugin = tmp_path / "counting.py"
    plugin.write_text(COUNTING)
    caches = [tmp_path / "cache 0", tmp_path / "cache 1"]
    nodes = []
    for cache in caches:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SWEEPER_CACHE", str(cache))
            patch.setenv("SWEEPER_DATA", str(tmp_path))
            nodes.append(ray_node.cluster.add_node(n_cpus=6))
    places = Places(cache_dir=tmp_path / "of the driver", data_dir=tmp_path, plugins=(str(plugin),))
    log_dir = tmp_path / "workers"
    launcher = build_launcher(ray_node, places.cache_dir, log_dir, 4, n_cpus=3.0, places=places)  # none fits elsewhere
    launcher.start()
    try:
        poll_for_all(launcher, WorkerReady, 4)
        pids = [{worker.pid for worker in workers_on(node)} for node in nodes]
        assert [len(of_node) for of_node in pids] == [2, 2]
        config = {
            "data": {"name": "folder", "path": pictures.name, "validation": 0.2},
            "model": {"name": "mlp", "hidden": [4]},
            "training": {"epochs": 1, "batch_size": 64, "optimizer": {"name": "adam", "lr": 3e-3}},
            "seed": 3,
        }
        for first in (0, 4):  # all workers at once, and once more
            for slot in launcher.slots:
                number = first + slot.index
                folder = str(tmp_path / "trials" / f"{number:05d}")
                launcher.submit(slot.index, Attempt(number=number, config=config, folder=folder, **ATTEMPT))
            for ended in poll_for_all(launcher, AttemptEnded, 4):
                assert isinstance(ended, AttemptEnded)
                assert ended.how == "outcome", ended
    finally:
        launcher.close()
        for node in nodes:
            ray_node.cluster.kill_node(node)

    opened = [line.split(" ", 1) for line in (tmp_path / "opened").read_text().splitlines()]
    expected = Counter(str(path) for path in pictures.rglob("*.png"))
    expected[str(pictures / "cat" / "000.png")] += 1  # for its size, which all are to have
    for of_node in pids:
        decoded = Counter(path for pid, path in opened if int(pid) in of_node)
        assert decoded == expected
    assert all(list(cache.glob("decoded/*/images.npy")) for cache in caches)
    assert not places.cache_dir.exists()


DRIVER = """
import sys
from pathlib import Path
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import WorkerReady
from sweeper.launch.ray import RayLauncher
from sweeper.places import Places

cache, logs, address = sys.argv[1:]
slots = [WorkerSlot(index=0, device="cpu", n_threads=1, n_cpus=1.0)]
launcher = RayLauncher(slots, places=Places(cache_dir=Path(cache)), log_dir=Path(logs), address=address)
launcher.start()
while True:
    for event in launcher.poll(1.0):
        print(type(event).__name__, flush=True)
"""


@ON_CLUSTER
def test_workers_end_when_their_driver_is_killed(ray_node: RayNode, cache_dir: Path, tmp_path: Path) -> None:
    arguments = [str(cache_dir), str(tmp_path / "logs"), ray_node.cluster.address]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    # Ray tells of nodes that other tests removed, and of busy ones, in lines between.
    assert any(line == "WorkerReady\n" for line in driver.stdout)
    processes = workers_on(ray_node.node)
    assert len(processes) == 1
    driver.kill()
    driver.wait()
    wait_until_gone(processes)


@pytest.mark.parametrize(
    ("given", "nodes", "expected"),
    [
        ({}, [{"CPU": 2.0}, {"CPU": 4.0}], [(1.0, None)] * 6),
        ({"worker_cpus": 3.0}, [{"CPU": 2.0}, {"CPU": 4.0}, {}], [(3.0, None)]),
        ({"worker_cpus": 0.5}, [{"CPU": 1.0}], [(0.5, None)] * 2),
        ({"workers": 3, "worker_cpus": 64.0}, [{"CPU": 2.0}], [(64.0, None)] * 3),
        ({}, [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}], [(1.0, 1.0)] * 2),
        ({"per_gpu": 3}, [{"CPU": 8.0, "GPU": 1.0}], [(1.0, 0.3333)] * 3),
        ({"per_gpu": 7}, [{"CPU": 8.0, "GPU": 1.0}], [(1.0, 0.1428)] * 7),
        ({"per_gpu": 3, "worker_cpus": 4.0}, [{"CPU": 8.0, "GPU": 1.0}], [(4.0, 0.3333)] * 2),
        ({"devices": ("cpu",)}, [{"CPU": 2.0, "GPU": 1.0}], [(1.0, None)] * 2),
    ],
)
def test_what_each_worker_gets(
    given: Mapping[str, object], nodes: list[dict[str, float]], expected: list[tuple[float, float | None]]
) -> None:
    slots = plan_cluster(Placement(launcher="ray", **given), nodes)  # type: ignore[arg-type]
    assert [(slot.n_cpus, slot.gpu_share) for slot in slots] == expected
    assert {slot.device for slot in slots} == {"cpu" if expected[0][1] is None else "cuda:0"}
    assert [slot.index for slot in slots] == list(range(len(slots)))


def test_no_room_and_nobody_who_would_wait() -> None:
    with pytest.raises(InputError, match=r"none of the cluster's 1 nodes has room for a worker \(3 CPUs\)"):
        plan_cluster(Placement(launcher="ray", worker_cpus=3.0), [{"CPU": 2.0}])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"launcher": "ray", "devices": ("cuda:0",)}, "--devices: given 'cuda:0'; allowed with --launcher ray: cpu"),
        ({"launcher": "ray", "per_gpu": "auto"}, "--per-gpu: given auto; allowed with --launcher ray: a number"),
        ({"launcher": "ray", "worker_cpus": 0.0}, "--worker-cpus: given 0.0; allowed: 0.0001 or more"),
        ({"launcher": "local", "address": "head:6379"}, "--address: given head:6379 with --launcher local"),
        ({"launcher": "inline", "worker_cpus": 2.0}, "--worker-cpus: given 2.0 with --launcher inline"),
        ({"launcher": "slurm"}, "--launcher: given 'slurm'; allowed: local, inline, ray"),
    ],
)
def test_what_cannot_be_placed(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as raised:
        plan_workers(Placement(**given))  # type: ignore[arg-type]
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster can be used at 127.0.0.1:1: "),
        ("127.0.0.1", "no Ray cluster can be used at 127.0.0.1: "),
        ("ray://127.0.0.1:10001", "--address: given 'ray://127.0.0.1:10001'; allowed: HOST:PORT"),
    ],
)
def test_no_cluster(address: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sweeper.launch.ray

    monkeypatch.setattr(sweeper.launch.ray.ray, "is_initialized", lambda: False)  # type: ignore[attr-defined]
    with pytest.raises(InputError) as raised:
        plan_workers(Placement(launcher="ray", address=address))
    assert message in str(raised.value)


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "sweeper.launch.ray", raising=False)
    with pytest.raises(InputError, match=r'pip install "sweeper\[ray\]"'):
        plan_workers(Placement(launcher="ray"))


def test_who_does_not_use_ray_does_not_import_it() -> None:
    code = "import sys, sweeper.cli.main, sweeper.sweep.start, sweeper.launch.node; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_places_of_a_node(tmp_path: Path) -> None:
    given = Places(cache_dir=tmp_path / "home", data_dir=tmp_path / "data")
    assert places_of_node(given, {}) == given
    here = places_of_node(given, {"SWEEPER_CACHE": str(tmp_path / "disk"), "SWEEPER_DATA": str(tmp_path / "sets")})
    assert (here.cache_dir, here.data_dir) == (tmp_path / "disk", tmp_path / "sets")


def test_workers_on_one_gpu_are_in_one_place() -> None:
    shared = [name_place("cuda:0", "node-7", {"CUDA_VISIBLE_DEVICES": "2"}) for _ in range(2)]
    assert shared == ["node-7 cuda:2"] * 2
    assert name_place("cuda:0", "node-8", {"CUDA_VISIBLE_DEVICES": "2"}) != shared[0]
    assert name_place("cpu", "node-7", {}) == "cpu"
