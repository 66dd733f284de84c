"""Time of a training step, compared with another version of chainrule.

``python -m benchmarks.versions FOLDER`` compares this version with the one in FOLDER, such as a git
worktree of an earlier commit. This version also runs in a second process. The ratio of its two
times shows how much two equal programs differ on this machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .rounds import Calls, Seconds, Times, race
from .text import ratio, rows, spread

NETWORKS = {  # batch size, and steps per epoch
    "784-32-10": (32, 400),
    "784-128-10": (128, 100),
    "784-512-512-10": (128, 20),
    "784-2500-2000-1500-1000-500-10": (256, 2),
}
HERE = Path(__file__).resolve().parent.parent
THIS, AGAIN, OTHER = "this version", "this version again", "the other version"
FIT = "step of fit"


def main(arguments: list[str] | None = None) -> None:
    """Compare two versions, and print a table for each network."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a copy of the project")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--rounds", type=int, default=20, help="(%(default)s)")
    parser.add_argument(
        "--starts", type=int, default=3, help="start new processes so many times (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if not (options.folder / "src" / "chainrule").is_dir():
        raise SystemExit(f"expected a copy of the project, found {options.folder}")
    for name in options.networks:
        print(
            table(name, measure(name, options.folder, options.rounds, options.starts)), flush=True
        )


def measure(name: str, folder: Path, rounds: int, starts: int) -> Times:
    """Return the seconds per step of both versions in all rounds."""
    network = [int(n) for n in name.split("-")], *NETWORKS[name]
    versions = (THIS, HERE), (OTHER, folder.resolve()), (AGAIN, HERE)
    processes = [(who, str(where / "src"), *network) for who, where in versions]
    times: Times = {}
    for _ in range(starts):
        for what, seconds in race(calls, processes, rounds, long={FIT: rounds}).items():
            for who in seconds:
                times.setdefault(what, {}).setdefault(who, []).extend(seconds[who])
    return times


def calls(
    who: str, source: str, widths: list[int], batch: int, steps: int
) -> tuple[list[float], Calls]:
    """Return the functions to time, for the version of chainrule in the folder `source`."""
    if "chainrule" in sys.modules:
        raise RuntimeError("chainrule is imported already")
    sys.path.insert(0, source)
    import chainrule as cr

    from .libraries import chainrule
    from .task import LR, make_data, network

    if not Path(cr.__file__).is_relative_to(source):
        raise RuntimeError(f"expected chainrule from {source}, found {cr.__file__}")
    data = make_data(widths[0], batch, batch * steps, steps)
    loop = chainrule(widths, data)
    trainer = cr.Trainer(
        network(widths), loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(lr=LR), metrics={}
    )

    def epoch() -> Seconds:
        history = trainer.fit(*data.epoch, batch_size=batch, verbose=0)
        return Seconds(history.epochs[-1]["seconds"] / steps)

    losses = [loop.step() for _ in range(5)]
    return losses, {("step in a loop", who): loop.step, (FIT, who): epoch}


def table(name: str, times: Times) -> str:
    """Return a table of the times per step and of their ratios in the same round."""
    lines = []
    for what, seconds in times.items():
        for who in (OTHER, THIS, AGAIN):
            compared = "" if who == OTHER else ratio(seconds[who], seconds[OTHER])
            lines.append((name, what, who, spread(seconds[who]), compared))
    head = ("network", "call", "version", "time", "time relative to the other version's")
    return f"{rows(head, lines)}\n"


if __name__ == "__main__":
    main()
