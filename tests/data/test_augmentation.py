"""Augmentations keep the dtype and the shape, and return the same images on every library."""

import re

import numpy as np
import pytest
from array_api_compat import array_namespace
from scipy import ndimage
from scipy.stats import kstest
from table import AFFINE, AUGMENTATIONS

import chainrule as cr
from chainrule.data.augmentation import (
    RandomAffine,
    RandomCrop,
    RandomElastic,
    RandomFlip,
    RandomShift,
)

NAMES = {"np": np, **vars(cr.augmentation)}
every = pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
SHAPES = [(7, 6, 5), (7, 1, 6, 5), (7, 3, 6, 5), (0, 2, 6, 5)]


def drawn(shape, dtype="float64", seed=0):
    """Return random images with values from 1 to 255."""
    return np.random.default_rng(seed).integers(1, 256, shape).astype(dtype)


def augmented(augment, images, library, seed=3):
    """Return the augmented images as a NumPy array."""
    rng = np.random.default_rng(seed)
    return library.to_numpy(augment(library.asarray(images), rng))


def test_every_augmentation_has_a_row():
    kinds = {type(augment).__name__ for augment in AUGMENTATIONS.values()}
    assert kinds == set(cr.augmentation.__all__)


@every
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_library_dtype_and_shape_stay_and_the_input_is_unchanged(augment, shape, dtype, library):
    images = library.asarray(drawn(shape, dtype))
    found = augment(images, np.random.default_rng(3))
    assert array_namespace(found) is array_namespace(images)
    assert (found.dtype, found.device) == (images.dtype, images.device)
    size = augment.size if isinstance(augment, RandomCrop) else shape[-2:]
    assert found.shape == (*shape[:-2], *size)
    np.testing.assert_array_equal(library.to_numpy(images), drawn(shape, dtype))


@every
@pytest.mark.parametrize(("dtype", "tolerance"), [("uint8", 1), ("float32", 1e-3), ("float64", 0)])
def test_images_are_the_same_on_every_library(augment, dtype, tolerance, library):
    images = drawn((20, 2, 6, 5), dtype)
    found = augmented(augment, images, library).astype("float64")
    expected = augment(images, np.random.default_rng(3)).astype("float64")
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=tolerance)
    assert np.mean(found != expected) < 0.01 or dtype != "uint8"
    np.testing.assert_array_equal(augmented(augment, images, library), found)
    assert not np.array_equal(augmented(augment, images, library, seed=4), found)


@every
def test_all_channels_change_in_the_same_way(augment, library):
    images = drawn((9, 1, 6, 5))
    found = augmented(augment, np.repeat(images, 3, axis=1), library)
    for channel in range(3):
        np.testing.assert_array_equal(found[:, channel], found[:, 0])
    np.testing.assert_array_equal(found[:, 0], augmented(augment, images[:, 0], library))


@every
def test_other_axes_are_an_error(augment, library):
    for shape in ((4, 9), (4, 1, 2, 3, 3)):
        with pytest.raises(cr.ShapeError, match=rf"\(batch, height, .*, found \({shape[0]}, .*"):
            augmented(augment, np.ones(shape), library)


HINT = r"\. To change one of several inputs, use lambda x, rng: "


@every
@pytest.mark.parametrize(
    ("images", "found"),
    [
        ([[[1.0, 2.0]]], r"\[\[\[1.0, 2.0\]\]\]$"),
        (None, "None$"),
        ({"image": np.ones((2, 3, 3))}, rf"{{'image': .*{HINT}{{\*\*x, 'image': augment"),
        ((np.ones((2, 3, 3)), np.ones(2)), rf"\(<ndarray .*{HINT}\(augment\(x\[0\], rng\), \*x"),
    ],
    ids=["list", "None", "dict", "tuple"],
)
def test_images_that_are_not_an_array(augment, images, found):
    with pytest.raises(
        TypeError, match=rf"^Random.*\): expected one array of images, found {found}"
    ):
        augment(images, np.random.default_rng(0))


@every
def test_other_generators_are_an_error(augment, library):
    images = library.asarray(drawn((2, 6, 5)))
    for rng in (None, 0, np.random, np.random.RandomState(0)):
        with pytest.raises(TypeError, match=r"generator such as np.random.default_rng\(0\), found"):
            augment(images, rng)


@every
@pytest.mark.parametrize("dtype", ["complex64", "object", "U1"])
def test_images_that_are_not_real_are_an_error(augment, dtype):
    with pytest.raises(cr.DataError, match=f"images of real numbers, found dtype .*{dtype}"):
        augment(np.ones((2, 6, 5), dtype), np.random.default_rng(0))


@every
def test_other_byte_orders_stay(augment):
    found = augment(drawn((5, 6, 5), ">f4"), np.random.default_rng(0))
    assert found.dtype.str == ">f4"
    expected = augment(drawn((5, 6, 5), "float32"), np.random.default_rng(0))
    np.testing.assert_array_equal(found, expected)


@every
def test_repr_shows_the_arguments(augment):
    assert repr(eval(repr(augment), NAMES)) == repr(augment)
    assert repr(RandomCrop(4)) == "RandomCrop(size=(4, 4), padding=(0, 0), fill=0.0)"


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_shifts_move_whole_images(library, dtype, channels):
    images = drawn((50, *channels, 6, 5), dtype)
    found = augmented(RandomShift(2, fill=3), images, library)
    padding = [(0, 0)] * (1 + len(channels)) + [(2, 2)] * 2
    padded = np.pad(images, padding, constant_values=3)
    assert len(set(places(padded, found))) > 15
    np.testing.assert_array_equal(augmented(RandomShift(0), images, library), images)


@pytest.mark.parametrize("padding", [0, (2, 1)])
def test_crops_are_windows_of_the_padded_images(padding, library):
    images = drawn((300, 2, 5, 4), "float32")
    found = augmented(RandomCrop((3, 2), padding=padding, fill=0.5), images, library)
    down, across = (padding, padding) if padding == 0 else padding
    padded = np.pad(images, [(0, 0), (0, 0), (down, down), (across, across)], constant_values=0.5)
    assert set(places(padded, found)) == set(np.ndindex(3 + 2 * down, 3 + 2 * across))


def places(images, windows):
    """Yield the row and the column at which each window lies in its image."""
    height, width = windows.shape[-2:]
    for image, window in zip(images, windows, strict=True):
        (place,) = (
            (i, j)
            for i, j in np.ndindex(image.shape[-2] - height + 1, image.shape[-1] - width + 1)
            if np.array_equal(image[..., i : i + height, j : j + width], window)
        )
        yield place


@pytest.mark.parametrize("axis", [-1, -2])
def test_flips(axis, library):
    images = drawn((400, 4, 3))
    np.testing.assert_array_equal(augmented(RandomFlip(0.0, axis=axis), images, library), images)
    whole = np.flip(images, axis)
    np.testing.assert_array_equal(augmented(RandomFlip(1, axis=axis), images, library), whole)
    found = augmented(RandomFlip(0.3, axis=axis), images, library)
    flipped = (found == whole).all(axis=(1, 2))
    assert (flipped | (found == images).all(axis=(1, 2))).all()
    assert flipped.mean() == pytest.approx(0.3, abs=0.07)


def bordered(shape, border):
    """Return random images from 0 to 1 with a border of zeros."""
    images = np.zeros(shape)
    images[..., border:-border, border:-border] = drawn(shape)[..., border:-border, border:-border]
    return images / 255


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sigma", [0.3, 2.0, 4.0, 9.0])
def test_elastic_distortions_equal_scipys(sigma, dtype, library):
    images, fill = drawn((5, 2, 12, 9), dtype) / 255, 0.25
    found = augmented(RandomElastic(12 * sigma, sigma, fill=fill), images, library)
    noise = 2.0 * np.random.default_rng(3).random((2, 5, 12, 9)) - 1.0
    grid = np.indices((12, 9))
    for n, c in np.ndindex(5, 2):
        moved = grid + [
            12 * sigma * ndimage.gaussian_filter(of_axis[n], sigma, mode="constant")
            for of_axis in noise
        ]
        expected = ndimage.map_coordinates(
            images[n, c].astype("float64"), moved, order=1, mode="grid-constant", cval=fill
        )
        np.testing.assert_allclose(found[n, c], expected, rtol=0, atol=1e-5)
    assert abs(found - images).mean() > 0.05


def test_images_with_an_empty_border_do_not_need_scipys_grid_mode(library):
    """If the edge is empty, SciPy's mode "constant" gives the same images."""
    images = bordered((5, 12, 12), 1)
    found = augmented(RandomElastic(30.0, 3.0), images, library)
    noise = 2.0 * np.random.default_rng(3).random((2, 5, 12, 12)) - 1.0
    for n in range(5):
        smooth = [ndimage.gaussian_filter(part[n], 3.0, mode="constant") for part in noise]
        moved = np.indices((12, 12)) + 30.0 * np.asarray(smooth)
        expected = ndimage.map_coordinates(images[n], moved, order=1, mode="constant")
        np.testing.assert_allclose(found[n], expected, rtol=0, atol=1e-5)


def test_the_size_of_the_displacements():
    """Away from the border, the displacements have the documented standard deviation."""
    alpha, sigma = 30.0, 3.0
    ramp = np.broadcast_to(np.arange(1000.0), (40, 41, 1000))
    found = RandomElastic(alpha, sigma)(ramp, np.random.default_rng(0))
    displacement = (found - ramp)[:, 15:-15, 50:-50]
    assert displacement.std() == pytest.approx(0.163 * alpha / sigma, rel=0.03)
    assert abs(displacement.mean()) < 0.02


def transformation(shear, scale, angle, shift):
    """Return the matrix that maps ``(x, y, 1)`` to its new place. `y` points upwards."""
    a, tilt = np.radians(angle), np.tan(np.radians(shear))
    moved = np.array([[1, 0, shift[1]], [0, 1, -shift[0]], [0, 0, 1]])
    turned = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return moved @ turned @ np.diag([scale, scale, 1]) @ [[1, tilt, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [{"degrees": 170.0}, {"translate": 4.0}, {"scale": (0.4, 3.0)}, {"shear": 50.0}, AFFINE],
    ids=lambda options: "-".join(options),
)
def test_affine_transformations_equal_scipys(options, dtype, library):
    images, fill, (height, width) = drawn((6, 2, 11, 8), dtype) / 255, 0.25, (11, 8)
    found = augmented(RandomAffine(**options, fill=fill), images, library)
    rng, limits = np.random.default_rng(3), {**dict.fromkeys(AFFINE, 0.0), "scale": (1, 1)}
    limits |= options
    shear = rng.uniform(-limits["shear"], limits["shear"], 6)
    scale = rng.uniform(*limits["scale"], 6)
    angle = rng.uniform(-limits["degrees"], limits["degrees"], 6)
    shift = rng.uniform(-limits["translate"], limits["translate"], (6, 2))
    # The matrix that maps an index (row, column, 1) to (x, y, 1), with the centre at 0.
    view = np.array([[0, 1, -(width - 1) / 2], [-1, 0, (height - 1) / 2], [0, 0, 1]])
    for n, c in np.ndindex(6, 2):
        forward = transformation(shear[n], scale[n], angle[n], shift[n])
        expected = ndimage.affine_transform(
            images[n, c].astype("float64"), np.linalg.inv(forward @ view) @ view,
            order=1, mode="grid-constant", cval=fill,
        )  # fmt: skip
        np.testing.assert_allclose(found[n, c], expected, rtol=0, atol=1e-5)


def test_without_arguments_affine_changes_nothing(library):
    for dtype in ("uint8", "float32"):
        images = drawn((4, 7, 6), dtype)
        np.testing.assert_array_equal(augmented(RandomAffine(), images, library), images)


def test_extreme_scales(library):
    images = drawn((2, 5, 5), "float32")
    middle = augmented(RandomAffine(scale=(1e30, 1e30)), images, library)
    np.testing.assert_array_equal(middle, np.broadcast_to(images[:, 2:3, 2:3], images.shape))
    nearly_nothing = augmented(RandomAffine(scale=(1e-30, 1e-30)), images, library)
    outside = np.ones((5, 5), bool)
    outside[2, 2] = False
    assert not nearly_nothing[:, outside].any()


class Extreme(np.random.Generator):
    """A generator that draws the largest value of each interval."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def uniform(self, low, high, size):
        return np.full(size, high)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 5, 5)])
def test_a_positive_angle_turns_counter_clockwise(shape, library):
    images = library.asarray(drawn(shape))
    found = library.to_numpy(RandomAffine(degrees=90.0)(images, Extreme()))
    np.testing.assert_allclose(found, np.rot90(drawn(shape), axes=(1, 2)), rtol=1e-6)


def test_the_directions_of_shift_shear_and_scale(library):
    def changed(image, **options):
        images = library.asarray([image], dtype=library.backend.dtype("float64"))
        return library.to_numpy(RandomAffine(**options)(images, Extreme()))[0]

    dot = np.zeros((5, 5))
    dot[2, 2] = 1.0
    assert changed(dot, translate=1.0)[3, 3] == 1.0
    line = np.zeros((3, 3))
    line[:, 1] = 1.0
    np.testing.assert_allclose(changed(line, shear=45.0), np.eye(3)[:, ::-1], atol=1e-12)
    assert changed(dot, scale=(2.0, 2.0)).sum() == pytest.approx(4.0)


def test_the_angles_are_uniform():
    rng = np.random.default_rng(0)
    matrices = RandomAffine(degrees=25.0, scale=(0.5, 2.0))._matrices(2000, rng)
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    scales = np.sqrt(np.linalg.det(matrices))
    for found, low, high in ((angles, -25.0, 25.0), (scales, 0.5, 2.0)):
        assert kstest(found, "uniform", (low, high - low)).pvalue > 0.01


@pytest.mark.parametrize("name", ["affine", "elastic"])
def test_other_dtypes(name, library):
    augment = AUGMENTATIONS[name]
    for dtype in ("int64", "bool"):
        with pytest.raises(cr.DataError, match=f"uint8 or in a floating-point .*{dtype}"):
            augment(library.asarray(drawn((2, 4, 4), dtype)), np.random.default_rng(0))


@pytest.mark.not_on("strict", "strictest")
@every
def test_half_precision(augment, library):
    images = drawn((5, 6, 5), "float16")
    found = augmented(augment, images, library)
    assert found.dtype == "float16"
    expected = augmented(augment, images.astype("float32"), library)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["shift", "crop"])
@pytest.mark.parametrize("dtype", ["bool", "int16"])
def test_shifts_and_crops_take_any_dtype(name, dtype, library):
    kind = {"shift": RandomShift(1, fill=1), "crop": RandomCrop(6, padding=1, fill=1)}[name]
    found = augmented(kind, np.zeros((9, 6, 6), dtype), library)
    assert found.dtype == dtype
    assert 0 < found.sum() < found.size


@pytest.mark.parametrize("fill", [-1, 0.5, 256])
@pytest.mark.parametrize("name", ["affine", "crop", "elastic", "shift"])
def test_a_fill_that_is_not_a_pixel_value(name, fill, library):
    kind = type(AUGMENTATIONS[name])
    arguments = {k: v for k, v in vars(AUGMENTATIONS[name]).items() if k != "fill"}
    images = drawn((2, 6, 5), "uint8")
    with pytest.raises(ValueError, match=rf"whole number from 0 to 255 .*uint8, found {fill}"):
        augmented(kind(**arguments, fill=fill), images, library)
    augmented(kind(**arguments, fill=fill), images.astype("float32"), library)


@pytest.mark.parametrize("fill", [-1e39, 1e300])
@pytest.mark.parametrize("name", ["affine", "crop", "elastic", "shift"])
def test_a_fill_outside_the_range_of_the_dtype(name, fill, library):
    found = {-1e39: r"-1e\+39", 1e300: r"1e\+300"}[fill]
    kind = type(AUGMENTATIONS[name])
    arguments = {k: v for k, v in vars(AUGMENTATIONS[name]).items() if k != "fill"}
    augment, images = kind(**arguments, fill=fill), drawn((2, 6, 5))
    with pytest.raises(
        ValueError, match=rf"fill .* from -3.4\S*e\+38 to 3.4.*float32, found {found}"
    ):
        augment(library.asarray(images.astype("float32")), np.random.default_rng(0))
    found = augmented(augment, images, library)
    assert found.dtype == "float64"
    assert np.isfinite(found).all()


def test_outside_an_image_there_is_exactly_the_fill(library):
    """Rounding errors of large pixels do not change the fill on any side of the image."""
    images, fill = np.full((50, 3, 3), 1e8, "float32"), np.float32(0.1)
    found = augmented(RandomAffine(translate=9.0, fill=fill), images, library)
    shift = np.random.default_rng(3)
    for _ in range(3):  # shear, scale and angle
        shift.uniform(size=50)
    down, across = np.moveaxis(shift.uniform(-9.0, 9.0, (50, 2, 1)), 1, 0)
    rows, columns = (np.arange(3) - moved for moved in (down, across))
    outside = [(place <= -1.0) | (place >= 3.0) for place in (rows, columns)]
    outside = outside[0][:, :, None] | outside[1][:, None, :]
    assert outside.mean() > 0.5
    np.testing.assert_array_equal(found[outside], fill)


def test_long_doubles_are_interpolated_in_double_precision():
    images, augment = drawn((5, 6, 5)), RandomElastic(20.0, 2.0)
    found = augment(images.astype("longdouble"), np.random.default_rng(0))
    assert found.dtype == "longdouble"
    np.testing.assert_allclose(found, augment(images, np.random.default_rng(0)), rtol=1e-14)


def test_a_narrow_filter_smooths_nothing(library):
    images = drawn((4, 6, 5), "float32")
    expected = augmented(RandomElastic(1.0, 0.1), images, library)
    np.testing.assert_array_equal(augmented(RandomElastic(1.0, 1e-300), images, library), expected)


@pytest.mark.parametrize("shape", [(9, 2, 5), (9, 1, 6, 2), (9, 1, 2), (9, 6, 0)])
def test_shifts_that_empty_the_image(shape, library):
    size = re.escape(str(shape[-2:]))
    with pytest.raises(
        cr.ShapeError, match=rf"pixels=2.*larger than the largest shift, found {size}"
    ):
        augmented(RandomShift(2), np.ones(shape), library)
    larger = np.ones((9, 3, 3))
    assert (augmented(RandomShift(2), larger, library) == 1).any(axis=(1, 2)).all()


def test_a_window_larger_than_the_image(library):
    RandomCrop((6, 4), padding=(1, 0))
    assert augmented(RandomCrop((6, 4), padding=(1, 0)), np.ones((2, 4, 4)), library).shape[1] == 6
    for size in ((7, 4), (6, 5)):
        with pytest.raises(cr.ShapeError, match=r"at least \(\d, \d\) pixels, found \(6, 4\)"):
            augmented(RandomCrop(size, padding=(1, 0)), np.ones((2, 4, 4)), library)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("RandomShift(-1)", "pixels to be at least 0"),
        ("RandomShift(1.5)", "pixels to be a whole number"),
        ("RandomShift(True)", "pixels to be a whole number"),
        ("RandomShift(1, fill=np.nan)", "fill to be finite"),
        ("RandomCrop(0)", "size to be at least 1"),
        ("RandomCrop((1, 2, 3))", "size to be a number or 2 numbers"),
        ("RandomCrop(3, padding=-1)", "padding to be at least 0"),
        ("RandomFlip(1.1)", "0 <= p <= 1, found 1.1"),
        ("RandomFlip(axis=1)", r"axis to be one of \(-1, -2\), found 1"),
        ("RandomElastic(-1.0, 1.0)", "alpha to be finite and at least 0"),
        ("RandomElastic(1.0, -1.0)", "sigma to be finite and above 0"),
        ("RandomElastic(1.0, 0.0)", "sigma to be finite and above 0"),
        ("RandomAffine(degrees=-1)", "degrees to be finite and at least 0"),
        ("RandomAffine(translate=(0.1, 0.1))", "translate to be a number"),
        ("RandomAffine(scale=(0.0, 1.0))", r"pair .* 0 < low <= high, found \(0.0, 1.0\)"),
        ("RandomAffine(scale=(2.0, 1.0))", r"pair .* 0 < low <= high, found \(2.0, 1.0\)"),
        ("RandomAffine(scale=1.0)", "pair .* 0 < low <= high, found 1.0"),
        ("RandomAffine(scale=(1.0, np.inf))", "scale to be finite"),
        ("RandomAffine(shear=90)", "0 <= shear < 90"),
        ("RandomElastic(1.0, 1e9)", "0 <= sigma < 1000, found 1000000000.0"),
        ("Compose([RandomFlip()])", r"an augmentation such as .*: use Compose\(\*augmentations\)"),
        ("Compose(RandomFlip)", r"such as RandomFlip\(\), found .*: did you mean RandomFlip\(\)"),
    ],
)  # fmt: skip
def test_bad_arguments(call, expected):
    with pytest.raises((ValueError, TypeError), match=f"expected .*{expected}"):
        eval(call, NAMES)


def test_changed_attributes_are_checked():
    augment = RandomElastic(34.0, 4.0)
    with pytest.raises(ValueError, match="expected sigma to be finite and above 0"):
        augment.sigma = -4.0
    assert repr(augment) == "RandomElastic(alpha=34.0, sigma=4.0, fill=0.0)"


def test_each_step_has_its_own_randomness(library):
    x, y = np.ones((20, 3), "float32"), np.arange(20) % 2
    drawn = []

    def augment(x, rng):
        drawn.append(rng.random())
        return x * 2.0

    for epochs in (2, 1):
        model = cr.Sequential(cr.Linear(3, 2), backend=library.backend)
        trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.0))
        history = trainer.fit(x, y, epochs=epochs, batch_size=10, augment=augment, verbose=0)
    assert len(set(drawn)) == 4
    assert drawn[:2] == drawn[4:]
    expected = trainer.evaluate(2.0 * x, y)["loss"]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_part_of_a_batch_changes_like_the_whole_batch(name, library):
    augment = AUGMENTATIONS[name]
    images = np.random.default_rng(1).random((9, 1, 5, 4))
    whole = library.to_numpy(augment(library.asarray(images), np.random.default_rng(0)))
    for part in (slice(2, 6), np.asarray([0, 1, 7])):
        given = library.asarray(images[part])
        found = augment.on_part(given, np.random.default_rng(0), 9, part)
        np.testing.assert_allclose(library.to_numpy(found), whole[part], rtol=1e-12, atol=1e-12)
