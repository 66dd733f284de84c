"""Axes, colours and output files of all plots."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.conversion import to_numpy
from ..errors import DataError, ShapeError, require
from ..files.atomic import write_atomically

# Okabe and Ito's palette for colour-blind readers. Markers distinguish the curves in greyscale.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
COLORS = (BLUE, VERMILLION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000", "#F0E442")
MARKERS = "os^DvP*X"


def axes(ax: Any, *, projection: str | None = None, **options: Any) -> Any:
    """Return `ax`, or the axes of a new figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed. The message says how to install it.
    """
    if ax is not None:
        return ax
    plt = require("matplotlib.pyplot", what="plotting", extra="plot")
    # Create the figure with pyplot, so that notebooks and plt.show() display it.
    return plt.figure(layout="constrained", **options).add_subplot(projection=projection)


def as_classes(name: str, classes: Any, samples: int) -> np.ndarray:
    """Return the classes as integers, after checking that there is one class per sample.

    Raises
    ------
    ShapeError
        If there is not one class per sample.
    DataError
        If the classes are not whole numbers.
    """
    found = to_numpy(classes)
    if found.shape not in ((samples,), (samples, 1)):
        raise ShapeError(
            f"expected {name} to hold a class for each of {samples} samples, found shape "
            f"{found.shape}: for outputs or one-hot rows, .argmax(axis=1) returns the classes"
        )
    found = found.reshape(-1)
    whole: np.ndarray = found.astype(int)
    if (others := found[found != whole]).size:
        raise DataError(f"expected {name} to be class numbers, found {others[0]}")
    return whole


def save_or_show(figure: Any, path: str | Path | None = None) -> None:
    """Write a figure to a file, or show the figure in a window if no path is given.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        A figure that was created with pyplot.
    path : str or Path, optional
        The path of the file. The extension selects the format, for example ``.png`` or ``.pdf``.

    Raises
    ------
    OSError
        If the file cannot be written. No partial file is left behind.
    RuntimeError
        If there is neither a path nor a display.
    TypeError
        If `figure` is not a figure.

    Examples
    --------
    >>> drawn = cr.plotting.plot_weights(cr.Linear(16, 4))
    >>> save_or_show(drawn[0].figure, "weights.png")
    """
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"expected a figure, found {type(figure).__name__}: plot functions return the "
            "objects that they drew, and drawn[0].figure is the figure"
        )
    if path is not None:
        picture = io.BytesIO()
        figure.savefig(picture, dpi=120, format=Path(path).suffix.removeprefix(".") or "png")
        write_atomically(path, picture.getvalue())
        return
    import matplotlib.pyplot as plt

    if plt.get_backend().lower() == "agg":
        raise RuntimeError("there is no display to show the figure on: pass a file to write to")
    plt.show()
