"""Runs benchmarks, keeps what they measured in benchmarks/results/, and writes it into docs/performance.md
and docs/scaling.md.

    python -m benchmarks [--only NAME...] [--rounds N] [--data DIR]     # runs, prints one table, writes the pages
    python -m benchmarks --page                                         # the pages alone, from what was measured before

Each is a script of its own, with options of its own: `python -m benchmarks.NAME --help`. Exit code 1 where one of them
failed; a target that is not reached is said, and is no failure.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.page import RESULTS, SCRIPTS, read_results, targets_table, write_page
from benchmarks.scaling_page import LOADS, write_scaling_page


def run(name: str, options: argparse.Namespace) -> bool:
    """Run one script; whether it succeeded."""
    script = SCRIPTS.get(name)
    module, arguments = (script.module or name, script.arguments) if script else (name, ())
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json", str(RESULTS / f"{name}.json")]
    if options.rounds is not None and script:
        command += ["--rounds", str(options.rounds)]
    environment = dict(os.environ)
    if options.data is not None:
        environment["SWEEPER_DATA"] = str(options.data.resolve())
    if script and script.takes_data:
        if "SWEEPER_DATA" not in environment:
            print(f"{name}: needs --data or SWEEPER_DATA", file=sys.stderr)
            return False
        command += ["--data", environment["SWEEPER_DATA"]]
    print(f"\n=== {name}", flush=True)
    return subprocess.run(command, env=environment).returncode == 0


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*SCRIPTS, *LOADS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="of each that takes turns; default: what the script finds right")
    parser.add_argument("--data", type=Path, help="folder of data sets; default: SWEEPER_DATA")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    failed = [] if options.page else [name for name in options.only if not run(name, options)]
    results = read_results()
    print(f"\n{targets_table(results)}")
    write_page(results)
    write_scaling_page()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
