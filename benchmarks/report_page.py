"""How fast is the page of a report there?

The report of 500 trials of 50 epochs is written by `sweeper report` and opened in chromium, each time in a browser
context of its own. Measured are seconds from the start of the navigation to four events: `DOMContentLoaded`, `load`,
the first figure drawn, and all figures drawn, which happens in idle time while the page is read. The CPU seconds are
those of the page's main thread, which a busy machine changes less.

    python -m benchmarks.report_page [--trials 500] [--rounds 7] [--chromium PATH]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

from benchmarks.results import Result, benchmark_parser, timed
from benchmarks.stores import fill_store, make_study
from sweeper.tracking.workspace import Workspace

NAME = "made"
BOUND_SECONDS = 2.0
EVENTS = {"DOMContentLoaded": True, "load": True, "first figure drawn": True, "all figures drawn": False}
"""Whether the bound holds for it."""
_WATCH = """new MutationObserver((_, observer) => {
  if (!document.querySelector(".plot .main-svg")) return;
  observer.disconnect();
  requestAnimationFrame(() => { window.firstDrawn = performance.now(); });
}).observe(document, { childList: true, subtree: true });"""
_TIMES = """() => {
  const [entry] = performance.getEntriesByType("navigation");
  return [entry.domContentLoadedEventEnd, entry.loadEventEnd, window.firstDrawn, performance.now()];
}"""


def measure(browser: Browser, page_url: str) -> tuple[list[float], list[float]]:
    """Wall seconds from the start of the navigation to each event, and CPU seconds of the main thread at each."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(_WATCH)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def cpu() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")

    cpu_seconds = []
    page.goto(page_url, wait_until="domcontentloaded")
    cpu_seconds.append(cpu())
    page.wait_for_load_state("load")
    cpu_seconds.append(cpu())
    page.wait_for_selector(".plot .main-svg", state="attached", timeout=120_000)
    cpu_seconds.append(cpu())
    page.wait_for_selector("html[data-drawn=all]", state="attached", timeout=120_000)
    cpu_seconds.append(cpu())
    wall_seconds = [milliseconds / 1000 for milliseconds in page.evaluate(_TIMES)]
    context.close()
    return wall_seconds, cpu_seconds


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=7)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as folder, sync_playwright() as playwright:
        workspace = Workspace.from_environment(Path(folder), {})
        fill_store(workspace, make_study(NAME, n_trials=options.trials))
        command = [sys.executable, "-m", "sweeper", "report", NAME, "--out", "report"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        page = Path(folder) / "report" / "index.html"
        n_bytes = page.stat().st_size
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        measure(browser, page.as_uri())  # the browser's own start
        rounds = [measure(browser, page.as_uri()) for _ in range(options.rounds)]
        version = browser.version
        browser.close()
    walls, cpus = (list(zip(*(r[k] for r in rounds), strict=True)) for k in (0, 1))
    Result(
        title=f"The page of a report of {options.trials:,} trials",
        rows=tuple(
            timed(name, wall, cpu_s=median(cpu), target=f"median <= {BOUND_SECONDS:g}" if EVENTS[name] else "")
            for name, wall, cpu in zip(EVENTS, walls, cpus, strict=True)
        ),
        notes=(f"The page has {n_bytes / 2**20:.1f} MiB; chromium {version}.",),
    ).publish(options.json)


if __name__ == "__main__":
    main()
