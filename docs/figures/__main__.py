"""Draw the figures of the pages: ``python -m docs.figures [NAME ...]``.

Each figure is written to ``docs/images``. The library computes all numbers in the figures.
"""

import argparse
from pathlib import Path

from chainrule.plotting import save_or_show

from . import FIGURES, one_step

IMAGES = Path(__file__).parents[1] / "images"


def main(arguments=None):
    """Write the figures with the given names, or all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=", ".join(["one_step", *FIGURES]))
    parser.add_argument("--folder", type=Path, default=IMAGES)
    options = parser.parse_args(arguments)
    names = options.names or ["one_step", *FIGURES]
    for name in names:
        if name == "one_step":
            (options.folder / "one_step.svg").write_text(one_step.drawing(), encoding="utf-8")
        else:
            save_or_show(FIGURES[name](), options.folder / f"{name}.png")


if __name__ == "__main__":
    main()
