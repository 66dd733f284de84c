"""Take the pictures of docs/playground.md with headless Chromium.

``python docs/playground_pictures.py`` starts a playground, trains in each picture until the test
accuracy is 95 %, and writes ``docs/images/playground_*.png``. It needs the extras ``playground``
and ``sklearn``, Selenium, and Chromium with its driver, as `nox -s tests_playground` does.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

IMAGES = Path(__file__).parent / "images"
PICTURES = {  # name: settings, colour scheme, width and height of the window
    "light": ("", "light", (1400, 860)),
    "dark": ("data=blobs&classes=4&hidden=8,6", "dark", (1400, 860)),
    "digits": ("data=digits&hidden=12&samples=1500", "light", (1400, 860)),
    "phone": ("data=circles&hidden=4,3&lr=0.03", "light", (375, 812)),
}


def start():
    """Return a headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    return webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )


def take(driver, name, settings, scheme, size):
    """Train with these settings and write the picture."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    width, height = size
    window = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", window)
    driver.execute_script("location.hash = arguments[0]", settings)
    button = driver.find_element(By.ID, "start")
    wait(lambda: button.is_enabled())
    button.click()
    accuracy = driver.find_element(By.ID, "number-val_accuracy")
    wait(lambda: accuracy.text != "–" and float(accuracy.text.split()[0]) >= 95)
    button.click()
    if name == "digits":  # a zero, which the network reads right
        driver.find_element(By.CSS_SELECTOR, "[aria-label='Test image 5']").click()
    time.sleep(1)
    driver.execute_script("window.scrollTo(0, 0)")
    driver.save_screenshot(str(IMAGES / f"playground_{name}.png"))


def wait(condition):
    until = time.monotonic() + 60
    while not condition():
        if time.monotonic() > until:
            sys.exit("the network did not learn in time")
        time.sleep(0.1)


def main():
    command = [sys.executable, "-u", "-m", "chainrule.playground", "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    driver = start()
    try:
        driver.get(server.stdout.readline().split()[-1])
        time.sleep(1)
        for name, picture in PICTURES.items():
            take(driver, name, *picture)
    finally:
        driver.quit()
        server.terminate()


if __name__ == "__main__":
    main()
