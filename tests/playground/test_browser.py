"""The page of the playground in headless Chromium. `nox -s tests_playground` runs these tests.

They need Chromium and its driver: ``apt-get install chromium chromium-driver`` on Debian.
"""

import asyncio
import contextlib
import io
import shutil
import threading
import time

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from chainrule.playground.program import build
from chainrule.playground.server import Playground

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
COLOURS = """
    const {width, height} = arguments[0];
    const pixels = arguments[0].getContext("2d").getImageData(0, 0, width, height);
    return new Set(new Uint32Array(pixels.data.buffer)).size;
"""


@pytest.fixture(scope="module")
def playground():
    """A playground that is served by a thread of its own."""
    made, ready, loop = [], threading.Event(), asyncio.new_event_loop()

    async def start():
        made.append(Playground())
        ready.set()

    def serve():
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    yield made[0]
    asyncio.run_coroutine_threadsafe(made[0].close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def browser(playground):
    """Chromium, which has opened the address that the playground prints."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (*ARGUMENTS, "--window-size=1400,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.get(playground.address)
        yield driver


@pytest.fixture
def page(browser, playground):
    """A function that opens the page with these settings. Errors in the script fail the test."""

    def opened(fragment=""):
        browser.get("about:blank")
        browser.get(f"http://127.0.0.1:{playground.port}/#{fragment}")
        wait_for(lambda: script(browser, "frame !== null"))
        return browser

    yield opened
    assert browser.get_log("browser") == []


def script(browser, expression):
    return browser.execute_script(f"return {expression}")


def wait_for(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.05)


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def accuracy(browser):
    text = find(browser, "#number-val_accuracy").text
    return 0.0 if text == "–" else float(text.split()[0])


def colours(browser, canvas):
    return browser.execute_script(COLOURS, find(browser, canvas))


def test_the_spirals_are_learned_by_pressing_start(page):
    browser = page()
    assert "token" not in browser.current_url
    assert script(browser, "frame.steps") == 0
    find(browser, "#start").click()
    wait_for(lambda: accuracy(browser) >= 95)
    assert colours(browser, "#surface") > 100
    assert colours(browser, "#network") > 100
    assert colours(browser, "#curves") > 10


def test_twenty_frames_a_second(page):
    browser = page("classes=2&hidden=8,8")
    find(browser, "#start").click()
    wait_for(lambda: script(browser, "rows.length") > 5)
    first = script(browser, "[performance.now(), frame.steps, document.body.dataset.frames]")
    time.sleep(4)
    last = script(browser, "[performance.now(), frame.steps, document.body.dataset.frames]")
    milliseconds, steps, frames = (float(b) - float(a) for a, b in zip(first, last, strict=True))
    assert steps > 100
    assert frames >= 20 * milliseconds / 1000


def test_opening_a_link_starts_nothing(page):
    browser = page("data=xor&hidden=3,2&speed=0&batch_norm=yes&lr=0.5")
    time.sleep(0.5)
    found = script(browser, "[frame.steps, settings.hidden, settings.lr, running]")
    assert found == [0, [3, 2], 0.5, False]
    assert "cr.BatchNorm(3)" in find(browser, "#code").text
    find(browser, "#step").click()
    wait_for(lambda: script(browser, "frame.steps") == 1)


def test_the_page_says_that_a_network_takes_long_to_build(page, monkeypatch):
    def slow(settings):
        assert released.wait(30)
        return build(settings)

    browser, released = page(), threading.Event()
    monkeypatch.setattr("chainrule.playground.session.build", slow)
    browser.execute_script("change({ hidden: [3] })")
    wait_for(lambda: find(browser, "#waiting").text == "Building the network …")
    assert not find(browser, "#start").is_enabled()
    released.set()
    wait_for(lambda: script(browser, "frame !== null"))
    assert find(browser, "#waiting").text == ""
    assert find(browser, "#start").is_enabled()


def test_a_change_stands_in_the_address_and_clears_the_drawing(page):
    browser = page()
    find(browser, "#epoch").click()
    wait_for(lambda: script(browser, "rows.length") == 1)
    find(browser, "[aria-label='Add a unit, layer 2']").click()
    find(browser, "[aria-label='Add a hidden layer']").click()
    assert browser.current_url.endswith("#hidden=8,9,9")
    assert find(browser, "#number-epoch").text == "0"
    wait_for(lambda: script(browser, "frame?.weights.length") == 16 + 72 + 81 + 27)
    assert colours(browser, "#curves") == 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("lr=abc", "lr=abc"),
        ("hidden=1000000", "hidden=1000000"),
        ("points=1;2", "points=1;2"),
        ("loss=L1Loss", "loss=L1Loss"),
        ("<b>=1", "<b>=1"),
        ("data=__proto__", "data=__proto__"),
        ("constructor=1", "constructor=1"),
    ],
)
def test_wrong_settings_in_a_link_are_named(page, wrong, named):
    browser = page(f"{wrong}&samples=60")
    assert named in find(browser, "#message").text
    assert script(browser, "settings.samples") == 60


def test_a_long_link_gives_a_short_message(page):
    browser = page("&".join([f"{'a' * 1000}=1", *["lr=abc"] * 1000, f"points={'1,1,0;' * 5000}"]))
    assert 0 < len(find(browser, "#message").text) < 300
    assert script(browser, "settings.points.length") == 0


def test_the_copied_code_gives_the_same_losses(page):
    browser = page("epochs=3&samples=60")
    code = find(browser, "#code").text
    find(browser, "#start").click()
    wait_for(lambda: script(browser, "rows.length") == 3)
    names = {}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(code, names)
    assert script(browser, "rows.map((row) => row[1])") == names["history"]["loss"]
    assert not find(browser, "#start").is_enabled()
    assert find(browser, "#message").text == "All 3 epochs are done. Press Reset to start again."


@pytest.mark.parametrize("data", ["curve", "xor", "drawn&points=1,1,0;-1,-1,0;1,-1,1;-1,1,1"])
def test_each_kind_of_data_is_drawn(page, data):
    browser = page(f"data={data}")
    find(browser, "#epoch").click()
    wait_for(lambda: script(browser, "rows.length") == 1)
    wait_for(lambda: colours(browser, "#surface") > 20)
    assert colours(browser, "#network") > 20


def test_the_last_training_run_pauses_while_the_user_draws_points(page, playground):
    browser = page()
    find(browser, "#start").click()
    wait_for(lambda: script(browser, "frame.steps") > 10)
    browser.execute_script("change({ data: 'drawn' })")
    assert not find(browser, "#step").is_enabled()
    time.sleep(0.5)
    before = [session.progress for session in playground.sessions]
    time.sleep(0.5)
    assert [session.progress for session in playground.sessions] == before


def test_points_are_drawn_with_the_keyboard(page):
    browser = page("data=drawn&points=1,1,0;-1,-1,0;1,-1,1;-1,1,1")
    find(browser, "#drawing button:nth-child(2)").click()
    find(browser, "#surface").send_keys(
        Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ENTER
    )
    assert browser.current_url.endswith(";0.2,0.1,1")
    wait_for(lambda: script(browser, "data?.y.length") == 5)


def test_an_epoch_can_be_paused(page):
    browser = page("speed=1")
    find(browser, "#epoch").click()
    assert find(browser, "#start").text == "Pause"
    find(browser, "#start").click()
    assert find(browser, "#start").text == "Start"
    wait_for(lambda: "Training paused" in find(browser, "#spoken").get_attribute("textContent"))
    time.sleep(1.5)
    assert script(browser, "frame.steps") <= 1


def test_screen_readers_hear_each_result_once(page):
    browser = page()
    assert find(browser, "#spoken").get_attribute("textContent") == ""
    find(browser, "#step").click()
    wait_for(lambda: find(browser, "#spoken").get_attribute("textContent"))
    spoken = find(browser, "#spoken").get_attribute("textContent")
    assert spoken.startswith("Training paused at step 1.")
    browser.execute_script("speak(''); handlers.frame({...frame, rows: []})")
    assert find(browser, "#spoken").get_attribute("textContent") == ""


def test_a_slider_shows_the_value_that_is_used(page):
    browser = page("noise=0.333&test=33")
    shown = [e.text for e in browser.find_elements(By.CSS_SELECTOR, ".value") if e.text]
    assert shown[:2] == ["0.333", "33"]
    assert find(browser, "[name=test]").get_attribute("value") == "33"


def test_a_touch_enlarges_a_unit(page):
    browser = page("hidden=3")
    touch = """
        const unit = units.find((unit) => unit.layer === 1 && unit.unit === 1);
        const {left, top} = document.getElementById("network").getBoundingClientRect();
        const place = {clientX: left + unit.x + 5, clientY: top + unit.y + 5, pointerType: "touch"};
        for (const kind of ["pointerdown", "pointerleave"])
            document.getElementById("network").dispatchEvent(new PointerEvent(kind, place));
    """
    browser.execute_script(touch)
    assert find(browser, "#output-title").text == "Layer 1, unit 2"


def test_large_losses_are_short(page):
    browser = page()
    shown = script(browser, "[0, 0.5, 12345, 0.0001, null].map(short)")
    assert shown == ["0.000", "0.500", "1.2e+4", "1.0e-4", "–"]
    browser.execute_script("frame.steps = 1; frame.gradients = [0, 0.01, null]; drawGradients()")
    shown = find(browser, "#gradients").text.split("\n")
    assert shown == ["layer 1", "0", "layer 2", "1.0e-2", "output", "infinite"]


def test_points_of_a_class_that_is_removed_are_removed(page):
    points = "1,1,0;-1,-1,0;1,-1,1;-1,1,1;2,2,2"
    browser = page(f"data=drawn&classes=4&points={points}")
    browser.execute_script("change({ classes: 2 })")
    assert browser.current_url.endswith("-1,1,1")
    wait_for(lambda: script(browser, "frame !== null"))
    assert script(browser, "data.y.length") == 4
    browser.execute_script("change({ classes: 4 })")
    assert script(browser, "settings.points.length") == 4


def test_refused_settings_pause_the_last_training_run(page, playground):
    browser = page()
    find(browser, "#start").click()
    wait_for(lambda: script(browser, "frame.steps") > 10)
    browser.execute_script("change({ lr: -1 })")
    wait_for(lambda: "expected lr to be" in find(browser, "#message").text)
    assert not find(browser, "#start").is_enabled()
    time.sleep(0.5)
    before = [session.progress for session in playground.sessions]
    time.sleep(0.5)
    assert [session.progress for session in playground.sessions] == before


def test_a_lost_connection_leaves_the_message_and_no_controls(page):
    browser = page()
    browser.execute_script("socket.close()")
    wait_for(lambda: "The connection is closed" in find(browser, "#message").text)
    for control in ("#start", "#reset", "#speed", "[name=lr]", "[aria-label='Add a hidden layer']"):
        assert not find(browser, control).is_enabled()
    assert float(find(browser, "#step").value_of_css_property("opacity")) < 0.5
    browser.execute_script("location.hash = 'lr=0.5'")
    time.sleep(0.3)
    assert "The connection is closed" in find(browser, "#message").text


def test_a_unit_is_enlarged_with_the_keyboard(page):
    browser = page("hidden=3")
    before = script(browser, "document.getElementById('surface').toDataURL()")
    find(browser, "#network").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert find(browser, "#output-title").text == "Layer 1, unit 2"
    assert find(browser, "#spoken").get_attribute("textContent") == "Layer 1, unit 2"
    wait_for(lambda: script(browser, "document.getElementById('surface').toDataURL()") != before)
    find(browser, "#network").send_keys(Keys.ESCAPE)
    assert find(browser, "#output-title").text == "Output"
    find(browser, "#network").send_keys(Keys.ARROW_LEFT)
    assert find(browser, "#output-title").text == "Layer 1, unit 1"
    find(browser, "#reset").click()
    assert find(browser, "#output-title").text == "Output"


def test_a_digit_is_read(page):
    pytest.importorskip("sklearn")
    browser = page("data=digits&hidden=6&samples=200")
    first = find(browser, "#bars").get_attribute("aria-label")
    wait_for(lambda: first.startswith("The network reads"))
    find(browser, "#clear").click()
    webdriver.ActionChains(browser).drag_and_drop_by_offset(find(browser, "#pad"), 20, 30).perform()
    wait_for(lambda: script(browser, "pixels.some((value) => value > 0)"))
    wait_for(lambda: find(browser, "#bars").get_attribute("aria-label") != first)


def test_an_output_unit_of_digits_is_one_colour(page):
    pytest.importorskip("sklearn")
    browser = page("data=digits&hidden=3,2&samples=200")
    seen = """
        const {x, y, size, last} = units.at(-5);
        const context = document.getElementById("network").getContext("2d");
        const {data} = context.getImageData(x + 2, y + 2, size - 4, size - 4);
        return [last, new Set(new Uint32Array(data.buffer)).size];
    """
    assert browser.execute_script(seen) == [True, 1]


def test_the_page_lists_the_experiments(page):
    browser = page()
    for link in browser.find_elements(By.CSS_SELECTOR, "#experiments a"):
        run = script(browser, "run")
        link.click()
        wait_for(lambda run=run: script(browser, f"run > {run} && frame !== null"))
        assert script(browser, "[frame.steps, running]") == [0, False]


def test_a_wrong_number_is_named_and_not_kept(page):
    browser = page()
    browser.execute_script("form.lr.value = '-1'; form.lr.dispatchEvent(new Event('change'))")
    assert "Learning rate: expected a number from" in find(browser, "#message").text
    assert find(browser, "[name=lr]").get_attribute("value") == "0.01"


def test_every_control_has_a_name(page):
    browser = page()
    controls = browser.find_elements(By.CSS_SELECTOR, "button, select, input, canvas[role]")
    visible = [control for control in controls if control.is_displayed()]
    assert len(visible) > 30
    assert [c.get_attribute("outerHTML") for c in visible if not c.accessible_name] == []


@pytest.mark.parametrize("width", [360, 650, 700, 1000])
@pytest.mark.parametrize("fragment", ["", "hidden=16,16,16,16,16,16", "data=digits", "data=drawn"])
def test_a_narrow_screen_shows_the_whole_width(page, fragment, width):
    browser = page()
    size = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.execute_script(f"location.hash = '{fragment}'")
        time.sleep(1)
        assert script(browser, "document.documentElement.scrollWidth") <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_memory_stays_flat(page):
    """The page gets over a hundred frames, and keeps about as much memory as before."""
    browser = page("speed=300")
    used = []
    find(browser, "#start").click()
    for _ in range(2):
        time.sleep(4)
        browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        used.append(browser.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"])
    assert used[1] < 1.2 * used[0]


def test_a_page_without_the_cookie_gets_nothing(browser, playground):
    browser.get(f"http://localhost:{playground.port}/")  # the cookie belongs to 127.0.0.1
    assert "works once" in browser.page_source
    assert browser.find_elements(By.TAG_NAME, "script") == []
    browser.get_log("browser")


def test_another_origin_cannot_connect(browser, playground):
    """A page with another origin tries to open the connection, and to read the page."""
    browser.get("data:text/html,<p>another origin</p>")
    opened = """
        const done = arguments[arguments.length - 1];
        const socket = new WebSocket("ws://127.0.0.1:%d/training");
        socket.onopen = () => done("open");
        socket.onerror = () => fetch("http://127.0.0.1:%d/", {credentials: "include"})
            .then(() => done("fetched"), () => done("refused"));
    """
    ports = (playground.port, playground.port)
    assert browser.execute_async_script(opened % ports) == "refused"
    browser.get_log("browser")
