"""Visit every page of the built site with headless Chromium, without a network.

``nox -s docs_browser`` runs this script after ``nox -s docs``. It needs Chromium and its driver:
``apt-get install chromium chromium-driver`` on Debian. On each page, it checks that

- no file is missing, and nothing is requested from the network,
- the console shows no warning and no error,
- all formulas are rendered and all images are shown.

Then it searches for a name, and writes screenshots if ``--screenshots FOLDER`` is given.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

SITE = Path(__file__).parents[1] / "build" / "docs"
READY = """
const done = arguments[arguments.length - 1];
const formulas = window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve();
formulas.then(() => done(true), error => done(String(error)));
"""
SEEN = """
return {
  formulas: document.querySelectorAll('.math:not(.math .math)').length,
  rendered: document.querySelectorAll('.math mjx-container svg').length,
  wrong: document.querySelectorAll('mjx-merror, [data-mjx-error]').length,
  empty: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
};
"""
SHOTS = {  # name: page, window size, place to scroll to
    "front": ("docs/index.html", (1280, 900), 0),
    "front-phone": ("docs/index.html", (390, 844), 0),
    "one-step": ("docs/maths/one_step.html", (1280, 1000), 0),
    "linear": ("docs/maths/linear.html", (1280, 1000), 500),
    "optimizers-phone": ("docs/maths/optimizers.html", (390, 844), 1500),
    "lessons": ("docs/lessons/index.html", (1280, 1000), 0),
    "xor": ("docs/lessons/06_xor.html", (1280, 1000), 0),
    "batch-norm": ("docs/api/cr.BatchNorm.html", (1280, 1000), 0),
    "from-pytorch": ("docs/howto/from_pytorch.html", (1280, 1000), 0),
    "source": ("source/src/chainrule/layers/linear.html", (1280, 900), 0),
    "search": ("search.html?q=BatchNorm", (1280, 900), 0),
}


def start():
    """Return a headless Chromium that cannot resolve any host name."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in ("--headless=new", "--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def faults(driver, page):
    """Open a page and yield everything that is wrong with it."""
    driver.get(page.as_uri())
    if (ready := driver.execute_async_script(READY)) is not True:
        yield f"MathJax: {ready}"
    seen = driver.execute_script(SEEN)
    if seen["rendered"] < seen["formulas"] or seen["wrong"]:
        yield f"{seen['formulas']} formulas, {seen['rendered']} rendered, {seen['wrong']} wrong"
    yield from (f"empty image {source}" for source in seen["empty"])
    for line in driver.get_log("browser"):
        if line["level"] in ("WARNING", "SEVERE"):
            yield f"console: {line['message']}"
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        parameters = message["params"]
        if message["method"] == "Network.loadingFailed":
            yield f"not loaded: {parameters.get('errorText')}"
        url = parameters.get("request", {}).get("url", "")
        if message["method"] == "Network.requestWillBeSent" and url.startswith("http"):
            yield f"from the network: {url}"


def found(driver, word):
    """Return the titles that the search finds."""
    driver.get(f"{(SITE / 'search.html').as_uri()}?q={word}")
    items = "return [...document.querySelectorAll('#search-results li a')].map(a => a.innerText)"
    return WebDriverWait(driver, 30).until(lambda d: d.execute_script(items))


def take(driver, folder):
    """Write the screenshots."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (page, (width, height), top) in SHOTS.items():
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        path, _, query = page.partition("?")
        driver.get((SITE / path).as_uri() + (f"?{query}" if query else ""))
        driver.execute_async_script(READY)
        driver.execute_script(f"window.scrollTo(0, {top})")
        time.sleep(2)  # searching, and opening the menus
        driver.save_screenshot(str(folder / f"{name}.png"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    pages = [page for page in sorted(SITE.rglob("*.html")) if "_static" not in page.parts]
    if not pages:
        sys.exit("the site is not built: run nox -s docs")
    driver, wrong, start_time = start(), 0, time.monotonic()
    try:
        for page in pages:
            for fault in faults(driver, page):
                print(f"{page.relative_to(SITE)}: {fault}")
                wrong += 1
        titles = found(driver, "BatchNorm")
        if not any("BatchNorm" in title for title in titles):
            print(f"the search for BatchNorm finds {titles}")
            wrong += 1
        if options.screenshots:
            take(driver, options.screenshots)
    finally:
        driver.quit()
    print(f"{len(pages)} pages, {wrong} faults, {time.monotonic() - start_time:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
