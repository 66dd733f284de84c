"""Images with what a model read in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends.conversion import to_numpy
from ..checks import whole
from ..errors import DataError, ShapeError
from .figures import VERMILLION, as_classes, axes


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
        If there is not one prediction and one label for each image, or the images are no images.
    DataError
        If predictions or labels are no whole numbers, or have no name among `names`.
    """
    images = to_numpy(images)
    if images.ndim != 3 or len(images) == 0:
        raise ShapeError(f"expected images of shape (n, height, width), found {images.shape}")
    predictions = as_classes("predictions", predictions, len(images))
    labels = predictions if labels is None else as_classes("labels", labels, len(images))
    columns = whole("columns", columns, least=1)
    words = [str(name) for name in names] if names is not None else None
    low, high = min(predictions.min(), labels.min()), max(predictions.max(), labels.max())
    if words is not None and not 0 <= low <= high < len(words):
        raise DataError(f"expected classes from 0 to {len(words) - 1}, found {low} to {high}")
    rows = -(-len(images) // columns)
    ax = axes(ax, figsize=(0.85 * columns, 1.05 * rows))
    drawn = []
    cells = zip(images, predictions, labels, strict=True)
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
