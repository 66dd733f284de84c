"""The server of the playground: who may connect, and what a page receives.

Only this machine can connect, because the server listens on 127.0.0.1. Pages of other sites in the
same browser cannot connect either: the host name must be a loopback name, the origin must be the
page's own, and a cookie must hold a key. The browser receives the cookie when it opens an address
with a token. The token works only once. The cookie is SameSite=Lax, so links from other sites open
the page.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hmac
import json
import secrets
from importlib.resources import files
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .session import Session
from .settings import described
from .view import packed

FILES = {
    "/": ("index.html", "text/html"),
    "/script.js": ("script.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MOST_PAGES = 8
LARGEST_BODY = 1024  # in bytes; the server expects no bodies, and stops reading longer ones
LONGEST_MESSAGE = 64 * 1024  # in characters; a longer message is refused
CLOSED_FROM = 1024 * 1024  # in bytes; a message of this size ends the connection
LONGEST_WRITE = 10  # in seconds; then the training thread no longer waits for a page
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Playground:
    """The server of the playground.

    Parameters
    ----------
    port : int, optional
        The port on 127.0.0.1. If it is 0 or already in use, any free port is used.

    Attributes
    ----------
    port : int
        The port.
    address : str
        The address to open. It contains the token, which works only once.
    cookie : str
        The name of the cookie. It contains the port, because browsers share cookies between ports.
    sessions : set of Session
        The sessions of all open pages, and of closed pages whose last step has not ended.
    """

    def __init__(self, port: int = 0) -> None:
        self.token, self.key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.sessions: set[Session] = set()
        own = {"playground": self}
        pages = [*((path, Page, own) for path in FILES), ("/training", Training, own)]
        self.http = HTTPServer(
            Application(
                pages,
                default_handler_class=Guarded,
                default_handler_args=own,
                websocket_max_message_size=CLOSED_FROM,
                websocket_ping_interval=20,
                log_function=lambda handler: None,
            ),
            max_body_size=LARGEST_BODY,
        )
        try:
            sockets = bind_sockets(port, "127.0.0.1")
        except OSError:
            sockets = bind_sockets(0, "127.0.0.1")
        self.http.add_sockets(sockets)
        self.port: int = sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/?token={self.token}"
        self.cookie = f"chainrule_playground_{self.port}"

    def redeem(self, token: str) -> bool:
        """Return whether the token is valid. If it is, it cannot be used again."""
        right = bool(self.token) and _equal(token, self.token)
        if right:
            self.token = ""
        return right

    async def close(self) -> None:
        """Stop listening, end all training runs, and wait until their threads have ended."""
        self.http.stop()
        for session in self.sessions:
            session.close()
        ending = (asyncio.to_thread(session.join, LONGEST_WRITE) for session in self.sessions)
        await asyncio.gather(*ending)


class Guarded(RequestHandler):
    """A handler that refuses requests from elsewhere with status 403."""

    def initialize(self, playground: Playground) -> None:
        self.playground = playground

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Finish the request if it comes from elsewhere."""
        origin = self.request.headers.get("Origin")
        if not self._is_local() or not self._is_own(origin) or not self._is_allowed():
            self.set_status(403)
            self.finish("Open the address that the playground printed. The address works once.\n")

    def _is_local(self) -> bool:
        """Return whether the host name is a loopback name. Tunnels may change the port."""
        try:
            return urlsplit(f"//{self.request.host}").hostname in LOOPBACK
        except ValueError:
            return False

    def _is_own(self, origin: str | None) -> bool:
        """Return whether the origin is the page's own. Browsers omit it when they open a page."""
        return origin in (None, f"http://{self.request.host}", f"https://{self.request.host}")

    def _is_allowed(self) -> bool:
        """Return whether the cookie holds the key."""
        return _equal(self.get_cookie(self.playground.cookie) or "", self.playground.key)


class Page(Guarded):
    """The page, its script and its style sheet."""

    def _is_allowed(self) -> bool:
        return super()._is_allowed() or self.playground.redeem(self.get_query_argument("token", ""))

    def get(self) -> None:
        """Send the file. Redirect an address with a token to the same page without the token."""
        if self.get_query_argument("token", ""):
            name, key = self.playground.cookie, self.playground.key
            self.set_cookie(name, key, httponly=True, samesite="Lax", path="/")
            self.redirect("/")
            return
        name, kind = FILES[self.request.path]
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.finish((files(__package__) / "static" / name).read_bytes())


class Training(Guarded, WebSocketHandler):
    """The connection of one page, which has its own training run."""

    session: Session | None = None

    def check_origin(self, origin: str) -> bool:
        """Return whether the origin is the page's own."""
        return self._is_own(origin)

    def _is_allowed(self) -> bool:
        return super()._is_allowed() and "Origin" in self.request.headers

    async def open(self, *args: str, **options: str) -> None:
        """Start a session."""
        ended = {session for session in self.playground.sessions if not session.is_alive()}
        self.playground.sessions -= ended
        if len(self.playground.sessions) >= MOST_PAGES:
            self.close(1013, "too many pages are open")
            return
        loop = asyncio.get_running_loop()

        def send(frame: bytes) -> None:
            """Wait in the training thread until the frame is written, so output never piles up."""
            written = self.deliver(frame)
            try:
                asyncio.run_coroutine_threadsafe(written, loop).result(LONGEST_WRITE)
            except (concurrent.futures.CancelledError, TimeoutError):
                pass  # the server has ended, or the page does not read
            except RuntimeError:  # the loop is closed, because the server has ended
                written.close()

        self.session = Session(send)
        self.playground.sessions.add(self.session)
        self.session.start()
        await self.deliver(packed({"kind": "welcome", **described()}))

    async def deliver(self, message: bytes) -> None:
        """Write a message, unless the page is closed."""
        with contextlib.suppress(WebSocketClosedError):
            await self.write_message(message, binary=True)

    async def on_message(self, message: str | bytes) -> None:
        """Pass a message to the session. A malformed message is answered with an error."""
        if self.session is None:
            return
        try:
            if len(message) > LONGEST_MESSAGE:
                raise ValueError(f"expected at most {LONGEST_MESSAGE} characters")
            self.session.receive(json.loads(message))
        except (ValueError, RecursionError) as error:
            # The next message waits until the answer is sent, so answers never pile up.
            await self.deliver(packed({"kind": "refused", "text": str(error)}))

    def on_close(self) -> None:
        """End the session."""
        if self.session is not None:
            self.session.close()


def _equal(found: str, expected: str) -> bool:
    return hmac.compare_digest(found.encode(errors="replace"), expected.encode())
