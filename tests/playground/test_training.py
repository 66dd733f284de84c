"""Training runs of the playground: what they compute, and the code that computes the same."""

import contextlib
import io
import json
import queue
import re
import time
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from playground_messages import unpacked

import chainrule as cr
from chainrule.backends import available_backends
from chainrule.playground.program import build, written
from chainrule.playground.session import MOST_COMMANDS, Session
from chainrule.playground.settings import (
    ACTIVATIONS,
    FIELDS,
    OPTIMIZERS,
    Settings,
    checked,
    described,
)
from chainrule.playground.sources import available_sources
from chainrule.playground.view import GRID

DRAWN = [[1, 1, 0], [-1, -1, 0], [1, -1, 1], [-1, 1, 1], [0.5, 0.5, 0], [-0.5, 0.25, 1]]
SMALL = {"epochs": 3, "samples": 60, "seed": 3}


class Page:
    """A session without a server, and the messages that it sends."""

    def __init__(self, **settings):
        self.messages = queue.Queue()
        self.session = Session(self.messages.put)
        self.session.start()
        self.say("settings", settings, run=1)
        self.started = self.read("start")

    def say(self, do, value=None, **more):
        self.session.receive({"do": do, "value": value, **more})

    def read(self, kind):
        while (message := unpacked(self.messages.get(timeout=60)))["kind"] != kind:
            assert message["kind"] in ("start", "frame")
        return message

    def next(self):
        self.say("next")
        return self.read("frame")

    def until_the_end(self):
        """Train to the end, and return all rows of the history."""
        self.say("speed", 0)
        frame, rows = self.read("frame"), []
        self.say("start")
        while frame["status"] != "finished":
            frame = self.next()
            rows += frame["rows"]
        return rows

    def close(self):
        self.session.close()
        self.session.join(20)
        assert not self.session.is_alive()


@pytest.fixture
def page():
    with contextlib.ExitStack() as stack:

        def opened(**settings):
            made = Page(**settings)
            stack.callback(made.close)
            return made

        yield opened


CASES = [
    {},
    {"classes": 2},
    {"data": "xor", "loss": "MSELoss"},
    {"data": "curve"},
    {"data": "curve", "loss": "HuberLoss", "hidden": []},
    {"data": "drawn", "points": DRAWN, "classes": 2, "batch_size": 512},
    {"data": "drawn", "points": DRAWN},
    {"batch_norm": "yes", "dropout": 0.2, "activation": "ReLU", "hidden": [5, 4, 3]},
    {"optimizer": "SGD", "momentum": 0.9, "l1": 0.001, "l2": 0.01},
    {"optimizer": "AdamW", "l2": 0.1},
    {"batch_norm": "yes", "samples": 82},  # 41 training samples, so the last batch has one
    *({"backend": name} for name in available_backends()),
    *({"optimizer": name} for name in OPTIMIZERS),
    *({"activation": name} for name in ACTIVATIONS),
    *({"data": name} for name in ("circles", "moons", "blobs", "digits", "mnist")),
]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{i}-{c.get('data', '')}" for i, c in enumerate(CASES)]
)
def test_the_code_gives_the_same_losses(page, case):
    if case.get("data", "xor") not in available_sources():
        pytest.skip("the data needs scikit-learn, or files that are not here")
    opened = page(**SMALL | case)
    rows = opened.until_the_end()
    names = {}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(opened.started["code"], names)
    history = names["history"]
    assert len(rows) == len(history["loss"]) == SMALL["epochs"]
    assert [row[1] for row in rows] == history["loss"]
    assert [row[2] for row in rows] == history["val_loss"]
    if "accuracy" in history.epochs[0]:
        assert [row[3] for row in rows] == history["val_accuracy"]
    else:
        assert {row[3] for row in rows} == {None}


def test_steps_epochs_and_pauses(page):
    opened = page(epochs=3, samples=60, batch_size=10)  # three steps an epoch
    first = opened.read("frame")
    assert (first["steps"], first["status"], first["rows"]) == (0, "paused", [])
    opened.say("step")
    frame = opened.next()
    assert (frame["steps"], frame["status"]) == (1, "paused")
    assert all(size > 0 for size in frame["gradients"])
    opened.say("epoch")
    while (frame := opened.next())["status"] != "paused":
        pass
    assert frame["steps"] == 3
    assert len(frame["rows"]) == 1


def test_other_settings_replace_the_training_run(page):
    opened = page(epochs=5000)
    opened.say("speed", 0)
    opened.say("start")
    opened.say("settings", {"hidden": [3]}, run=2)
    assert opened.read("start")["run"] == 2
    frame = opened.read("frame")
    assert (frame["run"], frame["steps"], frame["status"]) == (2, 0, "paused")
    assert frame["weights"].size == 3 * 2 + 3 * 3


def test_a_page_gets_a_frame_only_after_it_has_asked(page):
    opened = page(epochs=5000)
    opened.read("frame")
    opened.say("speed", 0)
    opened.say("start")
    while opened.session.progress[0] < 100:
        time.sleep(0.01)
    assert opened.messages.empty()
    assert opened.next()["steps"] >= 100


def test_the_number_of_waiting_commands_is_bounded():
    session = Session(lambda data: None)  # is not started, so no command is obeyed
    for _ in range(MOST_COMMANDS):
        session.receive({"do": "next"})
    with pytest.raises(ValueError, match="expected fewer commands"):
        session.receive({"do": "next"})


def test_new_settings_replace_all_that_waits():
    session = Session(lambda data: None)  # is not started, so no command is obeyed
    for run in range(2 * MOST_COMMANDS):
        session.receive({"do": "settings", "value": {}, "run": run})
        session.receive({"do": "next"})
    waiting = [session.commands.get_nowait() for _ in range(session.commands.qsize())]
    assert waiting == [("settings", (checked({}), run)), ("next", None)]


def test_divergence_ends_only_this_training_run(page):
    opened = page(data="curve", activation="Identity", optimizer="SGD", lr=100)
    opened.say("speed", 0)
    opened.say("start")
    while (message := unpacked(opened.messages.get(timeout=60)))["kind"] != "stopped":
        opened.say("next")
    assert "NaN or infinity first appeared in" in message["text"]
    opened.say("settings", {}, run=2)
    assert opened.read("frame")["run"] == 2


def test_a_frame_shows_what_the_model_computes(page):
    opened = page(hidden=[4], samples=100, classes=2)
    frame = opened.read("frame")
    experiment = build(checked({"hidden": [4], "samples": 100, "classes": 2}))
    model = experiment.trainer.model
    weights = [model[i].weight.value.reshape(-1) for i in (0, 2)]
    np.testing.assert_array_equal(frame["weights"], np.concat(weights))
    corner = np.array([[-3.0, 3.0]])  # the first grid point is at the top left
    assert frame["outputs"].size == GRID**2
    np.testing.assert_allclose(frame["outputs"][0], model.predict(corner)[0, 0], rtol=1e-5)
    units = frame["pictures"].reshape(4, GRID**2)
    tanh = np.tanh(corner @ model[0].weight.value.T + model[0].bias.value)
    assert (np.sign(units[:, 0]) == np.sign(tanh[0])).all()
    assert (np.abs(units).max(axis=1) == 127).all()
    x = opened.started["x"].reshape(-1, 2)[: opened.started["train"]]
    np.testing.assert_allclose(x, experiment.train[0], atol=1e-6)


def test_an_image_is_read(page):
    if "digits" not in available_sources():
        pytest.skip("the digits need scikit-learn")
    opened = page(data="digits", samples=100, hidden=[3, 2])
    first = opened.read("frame")
    assert opened.started["images"].size == 24 * 64
    assert first["pictures"].size == 3 * 64 + 2  # the weights of layer 1, the outputs of layer 2
    assert first["weights"].size == 3 * 2 + 2 * 10
    opened.say("image", [0.5] * 64)
    second = opened.next()
    model = opened.session.view.model
    half = model.predict(np.full((1, 64), 0.5))
    assert not np.array_equal(first["outputs"], second["outputs"])
    np.testing.assert_allclose(second["outputs"], half[0], rtol=1e-5)
    for pixels in ([2] * 64, [float("nan")] * 64, "x" * 64, [0] * 785):
        with pytest.raises(ValueError, match="expected image to be"):
            opened.say("image", pixels)
    opened.say("image", [0.5] * 63)  # belongs to no image of this size, and changes nothing
    opened.say("step")
    assert opened.next()["steps"] == 1


def test_units_of_a_later_layer_are_compared_for_an_image(page):
    if "digits" not in available_sources():
        pytest.skip("the digits need scikit-learn")
    frame = page(data="digits", samples=100, hidden=[3, 4]).read("frame")
    units = np.abs(frame["pictures"][3 * 64 :])
    assert units.size == 4
    assert units.max() == 127
    assert len(set(units.tolist())) > 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": "0.1"}, "expected lr to be a number from 1e-05 to 100, found '0.1'"),
        ({"lr": float("nan")}, "expected lr to be a number"),
        ({"samples": 60.0}, "expected samples to be a whole number from 20 to 5000, found 60.0"),
        ({"samples": True}, "expected samples to be a whole number"),
        ({"hidden": [8] * 7}, "expected hidden to be a list of at most 6 values"),
        ({"hidden": [17]}, "expected hidden to be a whole number from 1 to 16"),
        ({"activation": "Tanh(); import os"}, "expected activation to be one of Tanh, "),
        ({"activation": ["Tanh"]}, "expected activation to be one of"),
        ({"batch_norm": True}, "expected batch_norm to be one of no, yes, found True"),
        ({"points": [[0, 0]]}, "expected points to be rows of 3 numbers"),
        ({"points": [[0, 9, 0]]}, "expected points to be a number from -3.0 to 3.0"),
        ({"data": "drawn"}, "draw at least four points"),
        ({"batch_norm": "yes", "batch_size": 1}, "expected batches of at least 2 samples"),
        ({"data": "drawn", "points": [[0, 0, 3]] * 4}, "expected points of 3 classes"),
        (
            {"data": "curve", "loss": "CrossEntropyLoss"},
            "expected the loss of curve to be MSELoss, ",
        ),
        ({"source": 1}, "expected the name of a setting, found 'source'"),
        ([], "expected the settings as an object"),
        ({"__class__": 1}, "expected the name of a setting"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(").replace("[", r"\[")):
        checked(values)


def test_the_defaults_pass_their_own_checks():
    assert replace(checked(asdict(Settings())), loss="") == Settings()
    assert json.loads(json.dumps(described()))["defaults"]["hidden"] == [8, 8]
    assert "cr.Adam(lr=0.01)" in written(checked({}))
    assert isinstance(build(checked({})).trainer, cr.Trainer)


def of_link(fragment):
    """Return the settings in a link, as the page reads them."""
    values = {}
    for name, text in parse_qsl(fragment, keep_blank_values=True):
        if name == "hidden":
            values[name] = [int(units) for units in text.split(",") if units]
        else:
            values[name] = text if "choices" in FIELDS[name] else json.loads(text)
    return values


def test_the_links_of_the_page_hold_valid_settings():
    page = (Path(__file__).parents[2] / "docs/playground.md").read_text()
    links = re.findall(r"\(http://127.0.0.1:8765/#(.*?)\)", page)
    assert len(links) == 5
    html = (files("chainrule.playground") / "static/index.html").read_text()
    assert re.findall('<a href="#(.*?)">', html.replace("&amp;", "&")) == links
    for link in links:
        values = of_link(link)
        if values.get("data", "xor") in available_sources():
            build(checked(values))
