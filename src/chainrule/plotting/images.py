"""Images with what a model read in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends.conversion import to_numpy
from ..checks import whole
from ..errors import ShapeError
from .figures import VERMILLION, axes


def plot_predictions(
    images: Any,
    predictions: Any,
    labels: Any = None,
    *,
    names: Sequence[str] | None = None,
    columns: int = 8,
    ax: Any = None,
) -> list[Any]:
    """A grid of images with what was predicted, the wrong ones framed and with their label.

    Parameters
    ----------
    images : array
        ``(n, height, width)``, grey.
    predictions, labels : array
        ``(n,)`` classes as integers; without labels nothing is marked.
    names : sequence of str, optional
        Of the classes; their numbers if not given.
    columns : int, optional
        How many images stand in a row.
    ax : matplotlib.axes.Axes, optional
        Where to draw; the axes of a new figure if not given.

    Returns
    -------
    list of matplotlib.image.AxesImage
        The images; ``drawn[0].figure`` is the picture.

    Raises
    ------
    ShapeError
        If the numbers of images, predictions and labels differ, or the images are no images.
    """
    images, predictions = to_numpy(images), to_numpy(predictions)
    labels = predictions if labels is None else to_numpy(labels)
    if images.ndim != 3 or len(images) == 0:
        raise ShapeError(f"expected images of shape (n, height, width), found {images.shape}")
    if not len(images) == len(predictions) == len(labels):
        raise ShapeError(
            f"expected a prediction and a label for each image, found {len(images)} images, "
            f"{len(predictions)} predictions, {len(labels)} labels"
        )
    columns = whole("columns", columns, least=1)
    words = [str(name) for name in names] if names is not None else None
    rows = -(-len(images) // columns)
    ax = axes(ax, figsize=(0.85 * columns, 1.05 * rows))
    drawn = []
    cells = zip(images, predictions.astype(int), labels.astype(int), strict=True)
    for i, (image, predicted, label) in enumerate(cells):
        row, column = divmod(i, columns)
        left, top = 1.15 * column, 1.45 * row
        wrong = predicted != label
        said, meant = (words[k] if words else str(k) for k in (predicted, label))
        extent = (left, left + 1, top + 1, top)
        drawn.append(ax.imshow(image, cmap="gray_r", extent=extent, interpolation="nearest"))
        if wrong:
            corners = np.asarray([left, left + 1, left + 1, left, left])
            ax.plot(corners, np.roll(corners, 1) - left + top, color=VERMILLION, linewidth=2)
        ax.text(
            left + 0.5,
            top + 1.06,
            f"{said}, not {meant}" if wrong else said,
            color=VERMILLION if wrong else "black",
            fontweight="bold" if wrong else "normal",
            fontsize=8,
            ha="center",
            va="top",
        )
    ax.set_xlim(-0.05, 1.15 * columns - 0.1)
    ax.set_ylim(1.45 * rows - 0.05, -0.05)
    ax.set_axis_off()
    return drawn
