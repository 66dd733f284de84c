"""Grids of images: predictions, and the weights of a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends.conversion import to_numpy
from ..checks import whole
from ..errors import DataError, ShapeError
from ..layers import Layer
from ..parameter import Parameter
from .figures import VERMILLION, as_classes
from .grid import INCHES, Grid

_CHARACTER = 0.075  # width of a bold 8-point character, in inches


def plot_predictions(
    images: Any,
    predictions: Any,
    labels: Any = None,
    *,
    names: Sequence[str] | None = None,
    columns: int = 8,
    ax: Any = None,
) -> list[Any]:
    """Draw a grid of images with their predicted classes, and frame the wrong predictions.

    Parameters
    ----------
    images : array
        Grey images, ``(n, height, width)`` or ``(n, 1, height, width)``, or colour images,
        ``(n, 3, height, width)``. Colours from 0 to 1, and uint8 colours from 0 to 255, are shown
        as they are. Other colours are scaled so that the smallest number in all images becomes 0
        and the largest becomes 1.
    predictions, labels : array
        Classes as integers, ``(n,)``. Without labels, no prediction is marked as wrong.
    names : sequence of str, optional
        Names of the classes. By default, the class numbers are shown.
    columns : int, optional
        Maximum number of images per row. All rows except the last have the same number of images.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into. By default, a new figure is created.

    Returns
    -------
    list of matplotlib.image.AxesImage
        The images. ``drawn[0].figure`` is the figure.

    Raises
    ------
    ShapeError
        If `images` does not have one of these shapes, or if the number of predictions or labels
        differs from the number of images.
    DataError
        If predictions or labels are not whole numbers, or if `names` lacks the name of a class.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((3, 8, 8))
    >>> drawn = plot_predictions(images, predictions=[0, 1, 1], labels=[0, 1, 2])
    >>> len(drawn)
    3
    """
    images = _as_pictures(to_numpy(images))
    predictions = as_classes("predictions", predictions, len(images))
    labels = predictions if labels is None else as_classes("labels", labels, len(images))
    columns = whole("columns", columns, least=1)
    words = [str(name) for name in names] if names is not None else None
    low, high = min(predictions.min(), labels.min()), max(predictions.max(), labels.max())
    if words is not None and not 0 <= low <= high < len(words):
        raise DataError(f"expected classes from 0 to {len(words) - 1}, found {low} to {high}")
    pairs = list(zip(predictions, labels, strict=True))
    captions = [
        _name(p, words) if p == label else f"{_name(p, words)}\nnot {_name(label, words)}"
        for p, label in pairs
    ]
    longest = max(1, *(len(line) for caption in captions for line in caption.split("\n")))
    lines = max(caption.count("\n") for caption in captions) + 1
    ratio, across = images.shape[1] / images.shape[2], longest * _CHARACTER / INCHES
    grid = Grid(len(images), columns, ratio=ratio, across=across, below=0.2 * lines)
    room = math.inf if ax is None else grid.width(ax)
    ax, size = grid.axes(ax), min(8.0, 8.0 * room / (longest * _CHARACTER))
    drawn = []
    for i, (image, (p, label), caption) in enumerate(zip(images, pairs, captions, strict=True)):
        left, top = grid.corner(i)
        drawn.append(grid.draw(ax, i, image, cmap="gray_r"))
        if p != label:
            right, bottom = left + 1, top + ratio
            xs, ys = [left, right, right, left, left], [top, top, bottom, bottom, top]
            ax.plot(xs, ys, color=VERMILLION, linewidth=2)
        ax.text(
            left + 0.5,
            top + ratio + 0.06,
            caption,
            color="black" if p == label else VERMILLION,
            fontweight="normal" if p == label else "bold",
            fontsize=size,
            linespacing=0.95,
            ha="center",
            va="top",
        )
    grid.finish(ax)
    return drawn


def plot_weights(
    layer: Any,
    *,
    shape: tuple[int, int] | None = None,
    columns: int | None = None,
    ax: Any = None,
) -> list[Any]:
    """Draw the incoming weights of each unit as an image, to show what the unit detects.

    Blue is negative, white is 0 and red is positive. All units share one colour scale.

    Parameters
    ----------
    layer : Layer or array
        A layer with a weight, such as the first `Linear` of a model for images, or an array of
        weights. The weights have shape ``(units, inputs)``, or ``(..., height, width)`` with one
        image per filter and channel. Pass ``model[0].weight.value[:32]`` to draw only the first 32
        units.
    shape : tuple of int, optional
        Height and width of an input image. By default, input images are assumed to be square.
    columns : int, optional
        Maximum number of images per row. By default, the grid is nearly square.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into. By default, a new figure is created.

    Returns
    -------
    list of matplotlib.image.AxesImage
        The images. ``drawn[0].figure`` is the figure.

    Raises
    ------
    ShapeError
        If the weights cannot be arranged as images.
    DataError
        If a weight is NaN or infinite.
    TypeError
        If the layer has no weight.

    Examples
    --------
    >>> drawn = plot_weights(cr.Linear(784, 32))
    >>> drawn[0].figure.savefig("weights.png")
    """
    images = _as_images(_weights_of(layer), shape)
    largest = float(np.max(np.abs(images)))
    if not math.isfinite(largest):
        raise DataError("expected finite weights, found NaN or infinity")
    columns = _columns(len(images)) if columns is None else whole("columns", columns, least=1)
    grid = Grid(len(images), columns, ratio=images.shape[1] / images.shape[2])
    ax = grid.axes(ax, extra=0.9)
    scale = {"vmin": -(largest or 1.0), "vmax": largest or 1.0, "cmap": "RdBu_r"}
    drawn = [grid.draw(ax, i, image, **scale) for i, image in enumerate(images)]
    grid.finish(ax)
    ax.figure.colorbar(drawn[0], ax=ax, label="weight", shrink=0.8)
    return drawn


def _as_pictures(images: np.ndarray) -> np.ndarray:
    """Return images in matplotlib's layout, with colours on the last axis."""
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    grey, colour = images.ndim == 3, images.ndim == 4 and images.shape[1] == 3
    if not (grey or colour) or images.size == 0:
        raise ShapeError(
            "expected images of shape (n, height, width), (n, 1, height, width) or (n, 3, height, "
            f"width), found {images.shape}"
        )
    if grey:
        return images
    if images.dtype != np.uint8 and (images.min() < 0 or images.max() > 1):
        low, high = float(images.min()), float(images.max())
        images = (images.astype(float) - low) / (high - low or 1.0)
    return np.moveaxis(images, 1, -1)


def _weights_of(layer: Any) -> np.ndarray:
    """Return the weights of a layer, a parameter or an array as a NumPy array."""
    weight = getattr(layer, "weight", None) if isinstance(layer, Layer) else layer
    if weight is None:
        raise TypeError(f"expected a layer with a weight, such as a Linear, found {layer!r}")
    return to_numpy(weight.value if isinstance(weight, Parameter) else weight).astype(float)


def _as_images(weights: np.ndarray, shape: tuple[int, int] | None) -> np.ndarray:
    """Return the weights with shape ``(images, height, width)``."""
    if weights.ndim > 2 and weights.size and shape is None:
        return weights.reshape(-1, *weights.shape[-2:])
    if weights.ndim != 2 or not weights.size:
        raise ShapeError(f"expected weights of shape (units, inputs), found {weights.shape}")
    inputs = weights.shape[1]
    height, width = (math.isqrt(inputs),) * 2 if shape is None else shape
    if height * width != inputs:
        hint = " Pass shape=(height, width)" if shape is None else ""
        expected = "a square number of inputs" if shape is None else f"{height} * {width} inputs"
        raise ShapeError(f"expected {expected}, found {inputs}.{hint}")
    return weights.reshape(-1, height, width)


def _columns(count: int) -> int:
    """Return the number of columns of a nearly square grid, with a full last row if possible."""
    side = math.ceil(math.sqrt(count))
    return next((n for n in range(side, 2 * side) if count % n == 0), side)


def _name(class_: int, names: list[str] | None) -> str:
    """Return the name of a class, or the class number if there are no names."""
    return names[class_] if names else str(class_)
