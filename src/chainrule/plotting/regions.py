"""Plots of a model's outputs over a plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.conversion import to_numpy
from ..errors import DataError, ShapeError
from ..layers import Sequential, Sigmoid
from .figures import COLORS, MARKERS, as_classes, axes


def plot_decision_boundary(
    model: Sequential,
    x: Any,
    y: Any,
    *,
    threshold: float | None = None,
    resolution: int = 200,
    ax: Any = None,
) -> list[Any]:
    """Draw the decision regions of a classifier with two features, together with the data.

    Parameters
    ----------
    model : Sequential
        A model with one output per class, or with a single output for two classes.
    x : array
        The data to show, ``(n, 2)``.
    y : array
        The classes of the data: integers ``(n,)`` or ``(n, 1)``.
    threshold : float, optional
        The threshold for a model with a single output. Outputs above the threshold mean class 1,
        and all other outputs mean class 0. The default is 0.5 if the model ends in `Sigmoid`, and 0
        otherwise.
    resolution : int, optional
        Number of grid points along each axis.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into. By default, a new figure is created.

    Returns
    -------
    list
        The filled contours, followed by the points of each class.

    Raises
    ------
    ShapeError
        If `x` or the model does not have two features, or if `y` does not have one class per point.
    DataError
        If a class is not a whole number from 0 to the number of classes minus 1.

    Examples
    --------
    >>> x, y = cr.datasets.spirals(300, classes=3)
    >>> drawn = plot_decision_boundary(cr.mlp([2, 16, 3]), x, y)
    >>> drawn[0].figure.axes[0].get_xlabel()
    'feature 1'
    """
    x = _points(x)
    y = as_classes("y", y, len(x))
    across, up, outputs = _over_the_plane(model, _limits(x), resolution)
    if outputs.shape[-1] == 1:
        if threshold is None:
            last: Any = model
            while isinstance(last, Sequential):
                last = last[-1]
            threshold = 0.5 if isinstance(last, Sigmoid) else 0.0
        classes, count = outputs[..., 0] > threshold, 2
    else:
        classes, count = outputs.argmax(axis=-1), outputs.shape[-1]
    if y.min() < 0 or y.max() >= count:
        raise DataError(f"expected classes from 0 to {count - 1}, found {y.min()} to {y.max()}")
    ax = axes(ax, figsize=(4.5, 4))
    colors = [COLORS[k % len(COLORS)] for k in range(count)]
    levels = np.arange(count + 1) - 0.5
    drawn = [ax.contourf(across, up, classes, levels=levels, colors=colors, alpha=0.25)]
    for k in range(count):
        style = {"color": colors[k], "marker": MARKERS[k % len(MARKERS)], "s": 10}
        drawn.append(ax.scatter(*x[y == k].T, **style, linewidths=0, label=f"class {k}"))
    ax.set(xlabel="feature 1", ylabel="feature 2")
    return drawn


def plot_surface(
    model: Sequential,
    *,
    limits: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0),
    resolution: int = 40,
    ax: Any = None,
) -> Any:
    """Draw the output of a model with two inputs and one output as a surface.

    Parameters
    ----------
    model : Sequential
        A model with two inputs and one output.
    limits : tuple of float, optional
        Left, right, bottom and top of the region to draw.
    resolution : int, optional
        Number of grid points along each axis.
    ax : mpl_toolkits.mplot3d.Axes3D, optional
        The axes to draw into. By default, a new figure is created.

    Returns
    -------
    mpl_toolkits.mplot3d.art3d.Poly3DCollection
        The surface.

    Raises
    ------
    ShapeError
        If the model does not have two inputs and one output.
    TypeError
        If `ax` is not three-dimensional.

    Examples
    --------
    >>> surface = plot_surface(cr.mlp([2, 4, 1], output="sigmoid"), limits=(0, 1, 0, 1))
    >>> surface.axes.get_zlabel()
    'output'
    """
    across, up, outputs = _over_the_plane(model, limits, resolution)
    if outputs.shape[-1] != 1:
        raise ShapeError(f"expected a model with one output, found {outputs.shape[-1]}")
    ax = axes(ax, projection="3d", figsize=(5, 4))
    if not hasattr(ax, "plot_surface"):
        raise TypeError(
            'expected three-dimensional axes, such as figure.add_subplot(projection="3d")'
        )
    surface = ax.plot_surface(across, up, outputs[..., 0], cmap="cividis", alpha=0.9)
    ax.set(xlabel="x", ylabel="y", zlabel="output")
    return surface


def _points(x: Any) -> np.ndarray:
    points = to_numpy(x)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ShapeError(
            f"expected points with two features, of shape (n, 2), found {points.shape}: choose two "
            "columns"
        )
    return points


def _limits(x: np.ndarray) -> tuple[float, float, float, float]:
    """Return the left, right, bottom and top of a region with the points and a margin."""
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.08 * (high - low) + 1e-9
    (left, bottom), (right, top) = low - margin, high + margin
    return float(left), float(right), float(bottom), float(top)


def _over_the_plane(
    model: Sequential, limits: tuple[float, float, float, float], resolution: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the coordinates of a grid of points, and the model's outputs at these points."""
    left, right, bottom, top = limits
    across, up = np.meshgrid(
        np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    )
    points = np.stack([across.reshape(-1), up.reshape(-1)], axis=1)
    try:
        outputs: np.ndarray = to_numpy(model.predict(points))
    except ShapeError as error:
        raise ShapeError(f"expected a model with two features: {error}") from error
    if outputs.ndim != 2:
        raise ShapeError(
            "expected a model with outputs of shape (n, outputs), found shape "
            f"{outputs.shape} from {type(model).__name__}; for an estimator, pass its model_"
        )
    shape = (resolution, resolution, outputs.shape[-1])
    return across, up, np.reshape(outputs, shape)
