"""A real browser without a window, installed where that is possible; tests that use it are skipped where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMANDS = (
    ("apt-get", "update"),
    ("apt-get", "install", "--yes", "--no-install-recommends", "chromium", "chromium-driver"),
)
# Of each step: a mirror that does not answer must not hold up the tests.
SECONDS = 300
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars")


class Window:
    """A page in the browser, and what can be done to it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        """Load a page, and forget what the one before it logged."""
        self.driver.get_log("browser")
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def resize(self, width: int, height: int = 900) -> None:
        """Make the page so many pixels wide, also where a window could not be."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str, media: str = "") -> None:
        """Prefer light or dark; `media` is print for how it looks on paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def pdf(self) -> str:
        """Return the page as PDF, in base64."""
        return self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"]

    def complaints(self) -> list[str]:
        """Return what the browser logged: errors of scripts, of the page's policy, and what could not be loaded."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Window]:
    """Headless Chromium, as Debian has it; one for all tests."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[test]'")
    chromium, driver = _programs()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    started = webdriver.Chrome(options=options, service=service)
    started.set_page_load_timeout(60)
    started.set_script_timeout(60)
    try:
        yield Window(started)
    finally:
        started.quit()


def _programs() -> tuple[str, str]:
    """Return where Chromium and its driver are; installs them, or skips with the reason."""
    for attempt in range(2):
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        driver = shutil.which("chromedriver")
        if chromium is not None and driver is not None:
            return chromium, driver
        if attempt == 0:
            problem = _install()
    reason = f"NO BROWSER, THE REPORT IS NOT TESTED IN ONE: chromium and chromedriver are not there; {problem}"
    # In the summary of a run without -rs nobody reads reasons.
    print(f"\n{reason}", file=sys.__stderr__)
    pytest.skip(reason)


def _install() -> str:
    """Install Debian's packages where that is allowed; return why it did not work, if so."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return "installing them takes root and apt-get: apt-get install chromium chromium-driver"
    for command in COMMANDS:
        try:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} took more than {SECONDS} s"
        if run.returncode != 0:
            return f"{' '.join(command)} failed: {run.stderr.strip()[-300:]}"
    return "apt-get installed them, and they still are not there"
