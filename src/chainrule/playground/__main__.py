"""Serve the playground and open the browser."""

import argparse
import asyncio
import contextlib
import webbrowser

from ..errors import require


async def serve(port: int, browser: bool) -> None:
    """Serve the playground until Ctrl-C is pressed."""
    from .server import Playground

    playground = Playground(port)
    if port not in (0, playground.port):
        print(f"Port {port} is in use. The playground uses port {playground.port}.")
    print(f"This address works once: {playground.address}", flush=True)
    print("Press Ctrl-C to stop.", flush=True)
    try:
        if browser:
            await asyncio.to_thread(webbrowser.open, playground.address)
        await asyncio.Event().wait()
    finally:
        await playground.close()


def main() -> None:
    """Read the arguments and serve the playground."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.playground", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="the port on 127.0.0.1 (8765)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args()
    if not 0 <= options.port < 2**16:
        parser.error(f"expected a port from 0 to 65535, found {options.port}")
    require("tornado", what="the playground", extra="playground")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, not options.no_browser))


if __name__ == "__main__":
    main()
