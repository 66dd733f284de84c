"""The command-line options of the lessons."""

import argparse


def arguments(doc, **defaults):
    """Parse the options that all lessons share, and one option for each given default.

    An option with the default False is a flag, which takes no value. The description of the lesson
    is the first line of its docstring below the title.
    """
    _, _, text = doc.partition("\n\n")
    parser = argparse.ArgumentParser(description=text.partition("\n")[0])
    parser.add_argument("--backend", default="numpy", help="numpy, cupy or torch")
    parser.add_argument("--plot", metavar="FILE", help="write the picture to this file")
    for name, default in defaults.items():
        flag = "--" + name.replace("_", "-")
        if default is False:
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(default), default=default, help="(%(default)s)")
    return parser.parse_args()
