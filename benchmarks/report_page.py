"""How fast the page of a report is there: load times in chromium and size, over a made-up study of 500 trials.

    python benchmarks/report_page.py [--trials 500] [--epochs 60] [--classes 10] [--repeats 5] [--chromium PATH]

Prints four events after the start of the navigation, over fresh browser contexts: `DOMContentLoaded`, `load`, the first
figure drawn, and all figures drawn (in idle time, while the page is read). Of each the median and the slowest in wall
seconds, and the median of the CPU seconds of the page's main thread until then, which a busy machine changes less.
Exit code 1 where one of the first three takes more than 2 s.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from report.synthetic import synthetic

from sweeper.report.write import write_report

BOUND_SECONDS = 2.0
EVENTS = ("DOMContentLoaded", "load", "first figure", "all figures")
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
    """Write the report, load it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    arguments = parser.parse_args()

    names = [f"class-{k}" for k in range(arguments.classes)]
    record, reader = synthetic(n_trials=arguments.trials, n_epochs=arguments.epochs, class_names=names)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        start = time.perf_counter()
        page = write_report([record], reader, Path(folder), formats=["html"]).page
        print(f"{arguments.trials} trials of {arguments.epochs} epochs, {arguments.classes} classes")
        print(f"written in {time.perf_counter() - start:.1f} s, {page.stat().st_size / 2**20:.1f} MiB")
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        measure(browser, page.as_uri())  # the browser's own start
        rounds = [measure(browser, page.as_uri()) for _ in range(arguments.repeats)]
        browser.close()
    walls, cpus = (list(zip(*(r[k] for r in rounds), strict=True)) for k in (0, 1))
    print(f"{'':<17} {'wall':>7} {'slowest':>8} {'CPU':>7}   (seconds)")
    for name, wall, cpu in zip(EVENTS, walls, cpus, strict=True):
        print(f"{name:<17} {median(wall):>7.2f} {max(wall):>8.2f} {median(cpu):>7.2f}")
    sys.exit(any(median(wall) > BOUND_SECONDS for wall in walls[:3]))


if __name__ == "__main__":
    main()
