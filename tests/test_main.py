"""How the process of a command ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import atexit, sys, threading, time
import sweeper.__main__ as program

atexit.register(print, "registered")
print("said" * 100_000)

def main():
    sys.exit(CODE)

program.main = main
"""


@pytest.mark.parametrize(("code", "exit_code"), [("None", 0), ("0", 0), ("2", 2), ("'a reason'", 1)])
def test_it_ends_with_its_code_and_all_that_it_has_said(code: str, exit_code: int) -> None:
    script = f"{BEGIN.replace('CODE', code)}\nprogram.run()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == exit_code
    assert ended.stdout == "said" * 100_000 + "\nregistered\n"
    assert ended.stderr == ("a reason\n" if exit_code == 1 else "")


def test_threads_that_are_at_work_are_waited_for() -> None:
    script = f"""
{BEGIN.replace("CODE", "0")}
def work():
    threading.main_thread().join()
    print("worked")

threading.Thread(target=work).start()
program.run()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("worked\nregistered\n")
