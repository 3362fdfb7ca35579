"""The page in a real browser, a headless Chromium: it loads, sorts, fits and prints, whatever a name or a log holds."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from terminator.analysis.report import write_report
from terminator.ledger import Reason
from tests.analysis.ledgers import Row, branches

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


HOSTILE = "</td><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>{{ 7 * 7 }} $x_$"
LOG = f"\x1b[31mloss 1.0\rloss 0.5\n{HOSTILE}\n" + "x" * 3000
needs_browser = pytest.mark.skipif(not (DRIVER and CHROMIUM), reason="chromium and chromedriver are not installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    lost = {("no_gated", 1): (Reason.exception, HOSTILE)}
    rows = [*branches(3).rows, Row(HOSTILE, {"model.gate": "glu"}, -0.02)]
    branches(rows=rows, failed=lost, log=LOG, question=f"Which? {HOSTILE}", epochs=2).write(root)
    return write_report(root, "branches")


@pytest.fixture(scope="module")
def opened(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options, ChromeService(DRIVER)) as session:
        resize(session, 1280, 900)
        session.get(page.as_uri())
        yield session


def resize(session: Chrome, width: int, height: int) -> None:
    """The size of what is shown, as on a phone: a window cannot be that narrow."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    session.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_the_page_is_whole_and_asks_for_nothing(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert text.count("data:image/png;base64,") == 4
    assert "<script>window" not in text
    assert "<img src=x" not in text
    assert "{{ 7 * 7 }} $x_$" in text
    assert "loss 0.5" in text
    assert "loss 1.0" not in text
    assert "python -m terminator.run data=digits model.branches.gated=false seed=0" in text


@needs_browser
def test_it_loads_without_errors_and_runs_nothing_foreign(opened: Chrome) -> None:
    assert opened.get_log("browser") == []
    assert opened.execute_script("return window.hacked") is None
    assert opened.execute_script("return [...document.images].every((image) => image.naturalWidth > 0)") is True


@needs_browser
def test_sorting(opened: Chrome) -> None:
    def column(number: int) -> list[str]:
        rows = "[...document.querySelector('table').tBodies[0].rows]"
        texts: list[str] = opened.execute_script(f"return {rows}.map((row) => row.cells[{number}].textContent)")
        return texts

    def click(title: str) -> None:
        opened.find_element(By.XPATH, f"(//table)[1]//th[contains(., '{title}')]/button").click()

    before = column(0)
    assert before[0] == "full"
    for descending in (False, True):
        click("Test accuracy")
        numbers = [float(text.partition("\u00a0")[0]) for text in column(1)]
        assert numbers == sorted(numbers, reverse=descending)
    click("Variant")
    names = column(0)
    assert sorted(names) == sorted(before)
    assert [name for name in names if name != HOSTILE] == ["full", "no_gated", "no_global_gated", "no_si_glu"]


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_every_row_shows_its_verdict_and_interval(width: int, opened: Chrome) -> None:
    resize(opened, width, 800)
    rows = opened.find_elements(By.CSS_SELECTOR, ".answer tbody tr")
    assert len(rows) == 5
    for row in rows:
        verdict = row.find_element(By.CSS_SELECTOR, ".verdict")
        box = verdict.rect
        assert box["width"] > 0
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert row.find_element(By.CSS_SELECTOR, ".mean").is_displayed()
        if "baseline" not in (row.get_attribute("class") or ""):
            assert row.find_element(By.CSS_SELECTOR, ".interval").rect["width"] > 0


@needs_browser
def test_dark_mode_is_dark_and_has_contrast(opened: Chrome) -> None:
    def brightness(of: str) -> float:
        colour: str = opened.execute_script(f"return getComputedStyle(document.body).{of}")
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3

    for scheme, ground in (("dark", range(60)), ("light", range(240, 256))):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        assert round(brightness("backgroundColor")) in ground
        assert abs(brightness("backgroundColor") - brightness("color")) > 150


@needs_browser
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_overflows(width: int, opened: Chrome) -> None:
    opened.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    resize(opened, width, 800)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width


@needs_browser
def test_it_prints(opened: Chrome) -> None:
    assert base64.b64decode(opened.print_page()).startswith(b"%PDF")
