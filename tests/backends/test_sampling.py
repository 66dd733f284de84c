"""Compare bilinear sampling with SciPy and with the formula in NumPy."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from chainrule.sampling import bilinear

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (3, 2, 7, 5))
ROWS, COLUMNS = rng.uniform(-3.0, 9.0, (3, 40, 30)), rng.uniform(-3.0, 7.0, (3, 40, 30))
EDGES = [-1e30, -1.0, -0.5, 0.0, 3.0, 4.0, 4.5, 5.0, 6.0, 7.0, 1e30]
ROWS[:, :11, :11], COLUMNS[:, :11, :11] = np.meshgrid(EDGES, EDGES, indexing="ij")


@pytest.mark.parametrize("of_images", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples(dtype, of_images, library):
    images, positions = IMAGES.astype(of_images), (ROWS.astype(dtype), COLUMNS.astype(dtype))
    on_device = map(library.asarray, (images, *positions))
    found = library.to_numpy(library.backend.kernel(bilinear)(*on_device, 9.0))
    assert (found.dtype, found.shape) == (dtype, (3, 2, 40, 30))
    rounding = {"float32": 1e-4, "float64": 1e-12}[dtype]
    formula = bilinear(xp, images, *positions, 9.0)
    np.testing.assert_allclose(found, formula, rtol=0, atol=rounding)
    for n, c in np.ndindex(3, 2):
        places = [np.clip(p[n].astype("float64"), -9, 99) for p in positions]
        expected = map_coordinates(
            images[n, c].astype("float64"), places, order=1, mode="grid-constant", cval=9.0
        )
        np.testing.assert_allclose(found[n, c], expected, rtol=0, atol=2e-3)


def test_arrays_need_not_be_contiguous(library):
    arrays = IMAGES / 9, COLUMNS, ROWS  # columns first, because the axes are swapped
    swapped = [np.swapaxes(array, -1, -2) for array in arrays]
    matrix_transpose = library.backend.xp.matrix_transpose
    views = (matrix_transpose(library.asarray(array)) for array in arrays)
    found = library.to_numpy(library.backend.kernel(bilinear)(*views, 0.5))
    np.testing.assert_allclose(found, bilinear(xp, *swapped, 0.5), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinity_and_nan_are_outside(dtype, library):
    images = library.asarray(IMAGES)
    rows = library.asarray(np.full((3, 1, 4), [np.inf, -np.inf, np.nan, 1.0], dtype))
    columns = library.asarray(np.full((3, 1, 4), [1.0, 1.0, 1.0, np.nan], dtype))
    for positions in ((rows, columns), (columns, rows)):
        found = library.to_numpy(library.backend.kernel(bilinear)(images, *positions, 4.0))
        assert (found == 4.0).all()
