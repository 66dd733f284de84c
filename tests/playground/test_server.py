"""Who may connect to the playground, and what becomes of malformed messages."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
from urllib.request import HTTPCookieProcessor, build_opener

import numpy as np
import pytest
from playground_messages import unpacked
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from chainrule.playground.server import (
    CLOSED_FROM,
    LONGEST_MESSAGE,
    MOST_PAGES,
    Playground,
    Training,
)

OPEN = []  # the connections of the running test
PAGES = ("/", "/script.js", "/style.css", "/training")


def on_playground(test):
    """Run an asynchronous test with a playground, which leaves no thread when it is closed."""

    def run():
        async def with_playground():
            playground = Playground()
            try:
                await test(playground)
            finally:
                await playground.close()
                left = sessions()
                while OPEN:
                    await closed(OPEN[-1])
            assert not left

        asyncio.run(with_playground())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def sessions():
    return [thread for thread in threading.enumerate() if thread.name == "playground session"]


def headers(playground, **others):
    """Return the headers that the page itself sends with its requests."""
    return {
        "Host": f"127.0.0.1:{playground.port}",
        "Origin": f"http://127.0.0.1:{playground.port}",
        "Cookie": f"{playground.cookie}={playground.key}",
    } | others


async def get(playground, path, **options):
    url = f"http://127.0.0.1:{playground.port}{path}"
    request = HTTPRequest(url, follow_redirects=False, **options)
    return await AsyncHTTPClient().fetch(request, raise_error=False)


async def connect(playground, **others):
    url = f"ws://127.0.0.1:{playground.port}/training"
    socket = await websocket_connect(HTTPRequest(url, headers=headers(playground, **others)))
    OPEN.append(socket)
    assert (await read(socket))["kind"] == "welcome"
    return socket


async def connect_in_vain(playground):
    """Open one page too many."""
    url = f"ws://127.0.0.1:{playground.port}/training"
    socket = await websocket_connect(HTTPRequest(url, headers=headers(playground)))
    assert await socket.read_message() is None
    assert socket.close_code == 1013
    socket.close()


async def closed(socket):
    """Close a connection, and wait until the server has noticed."""
    if socket in OPEN:
        OPEN.remove(socket)
    socket.close()
    while await socket.read_message() is not None:
        pass


async def read(socket, kind=None):
    """Return the next message, or the next message of this kind."""
    while (message := await asyncio.wait_for(socket.read_message(), 20)) is not None:
        message = unpacked(message)
        if kind in (None, message["kind"]):
            return message
        if message["kind"] == "frame":
            await say(socket, "next")
    return None


async def say(socket, do, value=None, **more):
    await socket.write_message(json.dumps({"do": do, "value": value, **more}))


async def begin(socket, run=0, **settings):
    await say(socket, "settings", settings, run=run)
    return await read(socket, "start")


@on_playground
async def test_the_token_works_once_and_leaves_the_address(playground):
    path = playground.address.removeprefix(f"http://127.0.0.1:{playground.port}")
    first = await get(playground, path)
    assert first.code == 302
    assert first.headers["Location"] == "/"
    cookie = first.headers["Set-Cookie"]
    assert f"{playground.cookie}={playground.key}" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "httponly" in cookie.lower()
    assert (await get(playground, path)).code == 403
    page = await get(playground, "/", headers=headers(playground))
    assert page.code == 200
    assert playground.key not in page.body.decode()


def test_the_command_prints_an_address_that_works():
    command = [sys.executable, "-m", "chainrule.playground", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().split()[-1]
            with build_opener(HTTPCookieProcessor()).open(address, timeout=60) as page:
                assert page.url == address.split("?")[0]
                assert b"<title>chainrule playground</title>" in page.read()
        finally:
            process.terminate()


def test_the_command_refuses_a_port_that_cannot_exist():
    command = [sys.executable, "-m", "chainrule.playground", "--port", "70000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected a port from 0 to 65535, found 70000" in done.stderr


@on_playground
async def test_without_the_right_cookie_there_is_nothing(playground):
    for cookie in ("", f"{playground.cookie}=wrong", f"{playground.cookie}=ä", "x=y"):
        for path in PAGES:
            answer = await get(playground, path, headers=headers(playground, Cookie=cookie))
            assert answer.code == 403
            assert b"<" not in answer.body
    assert (await get(playground, "/?token=wrong")).code == 403
    assert (await get(playground, "/?token=")).code == 403


@on_playground
async def test_another_host_name_gets_nothing(playground):
    for host in ("example.org", f"example.org:{playground.port}", "127.0.0.1.example.org", "[::"):
        for path in PAGES:
            own = headers(playground, Host=host, Origin=f"http://{host}")
            assert (await get(playground, path, headers=own)).code in (400, 403)


@on_playground
async def test_another_port_is_allowed_for_tunnels(playground):
    for host in ("localhost:1234", "127.0.0.1:1", "[::1]:99", "localhost"):
        own = headers(playground, Host=host, Origin=f"http://{host}")
        assert (await get(playground, "/", headers=own)).code == 200


@on_playground
async def test_another_origin_gets_nothing(playground):
    strangers = (
        "http://example.org",
        "null",
        f"http://localhost:{playground.port}",
        "http://127.0.0.1:1",
    )
    for origin in strangers:
        for path in PAGES:
            answer = await get(playground, path, headers=headers(playground, Origin=origin))
            assert answer.code == 403
        with pytest.raises(HTTPClientError, match="403"):
            await connect(playground, Origin=origin)
    without = headers(playground)
    del without["Origin"]
    with pytest.raises(HTTPClientError, match="403"):
        await websocket_connect(
            HTTPRequest(f"ws://127.0.0.1:{playground.port}/training", headers=without)
        )


@on_playground
async def test_the_policy_allows_only_the_pages_own_files(playground):
    for path in PAGES[:3]:
        answer = await get(playground, path, headers=headers(playground))
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert b"https://" not in answer.body


@on_playground
async def test_only_loopback_listens(playground):
    addresses = {s.getsockname()[0] for s in playground.http._sockets.values()}
    assert addresses == {"127.0.0.1"}


@on_playground
async def test_long_bodies_are_refused_before_they_are_read(playground):
    reader, writer = await asyncio.open_connection("127.0.0.1", playground.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 20)  # none of the 2000 bytes are sent
    assert answer.startswith(b"HTTP/1.1 400")
    writer.close()


@on_playground
async def test_two_pages_are_two_training_runs(playground):
    one, two = await connect(playground), await connect(playground)
    await begin(one, seed=1)
    await begin(two, seed=2)
    a, b = await read(one, "frame"), await read(two, "frame")
    assert not np.array_equal(a["weights"], b["weights"])
    await say(one, "step")
    await say(one, "next")
    assert (await read(one, "frame"))["steps"] == 1
    await say(two, "epoch")
    await say(two, "next")
    frame = await read(two, "frame")
    while frame["status"] == "running":
        await say(two, "next")
        frame = await read(two, "frame")
    assert frame["steps"] == 10
    await say(one, "step")
    await say(one, "next")
    assert (await read(one, "frame"))["steps"] == 2


@on_playground
async def test_closing_a_page_ends_its_training_run(playground):
    socket = await connect(playground)
    await begin(socket, epochs=5000)
    await say(socket, "speed", 0)
    await say(socket, "start")
    await read(socket, "frame")
    (thread,) = sessions()
    await closed(socket)
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()


def test_a_page_that_is_closed_during_training_logs_nothing(caplog, capfd):
    @on_playground
    async def close_abruptly(playground):
        socket = await connect(playground)
        await begin(socket, epochs=5000)
        await say(socket, "speed", 0)
        await say(socket, "start")
        for _ in range(20):
            await read(socket, "frame")
            await say(socket, "next")
        OPEN.remove(socket)
        socket.protocol.stream.close()
        socket.close()
        while sessions():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        gc.collect()

    close_abruptly()
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_a_training_run_waits_until_a_frame_is_written(monkeypatch):
    # A page that does not read gets one frame, however many it asks for.
    frames, written = [], asyncio.Event()

    async def deliver(handler, frame):
        frames.append(frame)
        await written.wait()

    @on_playground
    async def ask(playground):
        socket = await connect(playground)
        monkeypatch.setattr(Training, "deliver", deliver)
        await say(socket, "settings", {"epochs": 5000}, run=0)
        while not frames:
            await asyncio.sleep(0.01)
        for _ in range(20):
            await say(socket, "next")
            await asyncio.sleep(0.01)
        assert len(frames) == 1
        written.set()
        while len(frames) == 1:
            await asyncio.sleep(0.01)

    ask()


@on_playground
async def test_the_number_of_pages_is_bounded(playground):
    sockets = [await connect(playground) for _ in range(MOST_PAGES)]
    await connect_in_vain(playground)
    assert len(sessions()) == len(sockets)
    await closed(sockets[0])
    while len(sessions()) == len(sockets):
        await asyncio.sleep(0.01)
    await connect(playground)


@on_playground
async def test_a_closed_page_counts_until_its_thread_has_ended(playground):
    ended = threading.Event()
    threads = [threading.Thread(target=ended.wait) for _ in range(MOST_PAGES)]
    for thread in threads:
        thread.start()
    playground.sessions.update(threads)
    await connect_in_vain(playground)
    ended.set()
    for thread in threads:
        thread.join()
    await connect(playground)
    assert len(playground.sessions) == 1


@on_playground
async def test_long_messages_harm_only_themselves(playground):
    one, two = await connect(playground), await connect(playground)
    await one.write_message(" " * (LONGEST_MESSAGE + 1))
    assert (await read(one))["kind"] == "refused"
    await one.write_message(" " * (CLOSED_FROM + 1))
    assert await read(one) is None  # this page's connection ends
    OPEN.remove(one)
    one.close()
    assert (await begin(two))["kind"] == "start"


def malformed(rng):
    """Return a random message that is malformed."""
    bad = [-1, 1e999, float("nan"), "<b>", "'; import os", {}, {"a": 1}, 10**30, [[1] * 100]]
    value = bad[rng.integers(len(bad))]
    name = ["lr", "hidden", "points", "data", "backend", "batch_norm", "l2"][rng.integers(7)]
    settings = {"do": "settings", "value": {name: value}, "run": 0}
    messages = [
        rng.bytes(rng.integers(1, 60)),
        "[" * int(rng.integers(1, 5000)),
        "1" * int(rng.integers(5000, 9000)),
        *map(json.dumps, [value, {"do": value}, {"do": "image", "value": value}, settings]),
        *map(json.dumps, [{"do": "speed", "value": value}, {"do": "start", "value": value}]),
        json.dumps({"do": "settings", "value": {}, "run": value}),
        json.dumps({"do": "settings", "value": {"__class__": value}, "run": 0}),
    ]
    return messages[rng.integers(len(messages))]


@pytest.mark.slow
@on_playground
async def test_ten_thousand_malformed_messages(playground):
    """Each is refused, and the training run continues as if there had been none of them."""
    socket, rng = await connect(playground), np.random.default_rng(0)
    await begin(socket, epochs=2)
    before = await read(socket, "frame")
    for _ in range(100):
        for message in [malformed(rng) for _ in range(100)]:
            await socket.write_message(message, binary=isinstance(message, bytes))
        for _ in range(100):
            assert (await read(socket))["kind"] == "refused"
    await say(socket, "next")
    await say(socket, "step")
    after = await read(socket, "frame")
    assert (before["steps"], after["steps"]) == (0, 1)
    (session,) = playground.sessions
    assert session.is_alive()
