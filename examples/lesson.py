"""What the lessons share: their options."""

import argparse


def arguments(doc, **defaults):
    """Options of a lesson: those that all have, and one for each default given."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--backend", default="numpy", help="numpy, cupy or torch")
    parser.add_argument("--plot", metavar="FILE", help="write the picture here; else it is shown")
    for name, default in defaults.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=type(default), default=default, help="(%(default)s)")
    return parser.parse_args()
