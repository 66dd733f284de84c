"""A grid of images in a single plot."""

from __future__ import annotations

from typing import Any

import numpy as np

from .figures import axes

INCHES = 0.74  # width of an image in a new figure


class Grid:
    """Positions of images in a grid. All rows except the last have the same number of images.

    The unit of length is the width of an image.

    Parameters
    ----------
    count : int
        The number of images.
    columns : int
        Maximum number of images per row.
    ratio : float, optional
        Height of an image divided by its width.
    across : float, optional
        The width of the widest caption.
    below : float, optional
        The height of the tallest caption.
    """

    def __init__(
        self, count: int, columns: int, *, ratio: float = 1.0, across: float = 0.0, below: float = 0
    ) -> None:
        self.rows = -(-count // columns)
        self.columns = -(-count // self.rows)
        self.ratio = ratio
        self.step = max(1.0, across) + 0.15, ratio + below + 0.15

    def axes(self, ax: Any, *, extra: float = 0.0) -> Any:
        """Return `ax`, or new axes that are `extra` inches wider than the grid."""
        across, down = self.step
        width = extra + INCHES * across * self.columns
        return axes(ax, figsize=(max(1.5, width), max(1.0, INCHES * down * self.rows)))

    def width(self, ax: Any) -> float:
        """Estimate the distance from one image to the next, in inches."""
        inches: float = ax.get_window_extent().width / ax.figure.dpi
        return inches / self.columns

    def corner(self, i: int) -> tuple[float, float]:
        """Return the position of the left edge and the upper edge of the i-th image."""
        row, column = divmod(i, self.columns)
        return self.step[0] * column, self.step[1] * row

    def draw(self, ax: Any, i: int, image: np.ndarray, **options: Any) -> Any:
        """Draw the i-th image."""
        left, top = self.corner(i)
        extent = (left, left + 1.0, top + self.ratio, top)
        return ax.imshow(image, extent=extent, interpolation="nearest", **options)

    def finish(self, ax: Any) -> None:
        """Set the limits of the axes to the grid, and hide the axes."""
        across, down = self.step
        margin = 0.5 * (across - 1.0)
        ax.set_xlim(-margin, across * self.columns - margin)
        ax.set_ylim(down * self.rows - 0.05, -0.05)
        ax.set_axis_off()
