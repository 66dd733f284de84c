"""The base class of all losses: argument checks, sample weights and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import Any, ClassVar

from array_api_compat import array_namespace

from ..backends import get_backend
from ..backends.conversion import like, on_host
from ..checks import Checked, one_of
from ..errors import (
    DataError,
    ShapeError,
    blaming,
    other_dtype,
    repr_without_elements,
    shown,
)
from ..forms import each, first, fits, named, several, shape_of
from ..types import Array, Arrays
from .checking import as_outputs, check_weights, expect_one_array, in_words

Formula = tuple[Array, Callable[[], Array]]
"""The values of the loss, and a function that returns the derivative of the values."""


class Loss:
    """Base class of losses, which measure how far outputs are from targets.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, optional
        Whether to return the mean of all values, their sum, or the values themselves.

    Notes
    -----
    To write a custom loss, define `formula`. Override `as_target` if targets and outputs have
    different shapes. Override `check_values` if some target values are invalid. Sample weights,
    reductions and micro-batches work without further code.

    Examples
    --------
    The negative log-likelihood of a Gaussian distribution. For each target, the model has two
    outputs: the mean and the logarithm of the variance.

    >>> class GaussianNLL(cr.Loss):
    ...     def as_target(self, xp, y, target):
    ...         return super().as_target(xp, y[:, :1], target)
    ...
    ...     def formula(self, xp, y, target):
    ...         mean, log_var = y[:, :1], y[:, 1:2]
    ...         d, precision = mean - target, xp.exp(-log_var)
    ...
    ...         def derivative():
    ...             return xp.concat([d * precision, 0.5 - 0.5 * d * d * precision], axis=1)
    ...
    ...         return 0.5 * (d * d * precision + log_var), derivative
    >>> value, backward = GaussianNLL()(np.asarray([[1.0, 0.0]]), np.asarray([[3.0]]))
    >>> float(value), backward()
    (2.0, array([[-2. , -1.5]]))
    >>> cr.gradcheck(GaussianNLL(), shape=(4, 2), target=np.ones((4, 1))) < 1e-6
    True
    """

    outputs: ClassVar[str] = "numbers"
    """How the loss interprets outputs: "numbers", "logits" of classes, "binary logits", "binary
    probabilities", "log-probabilities" or "log-means". Metrics and estimators read this
    attribute."""

    takes_several: ClassVar[bool] = True
    """Whether `formula` takes several outputs and targets in tuples or dicts. The built-in losses
    do not."""

    _is_custom: ClassVar[bool] = True
    """Whether `formula` is defined outside of chainrule. A custom formula gets read-only views or
    copies, because it could change the model's outputs or the user's targets."""

    reduction = Checked(one_of("mean", "sum", "none"))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "formula" in vars(cls):
            cls._is_custom = not cls.__module__.startswith(f"{__package__}.")
            if "takes_several" not in vars(cls):
                cls.takes_several = cls._is_custom

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """Return the values of the loss, and a function that computes the derivative of the values.

        Parameters
        ----------
        xp : namespace
            The Array API namespace of the arrays.
        y : array
            Outputs, ``(batch, ...)``, in float32 or float64.
        target : array
            The result of `as_target`. Do not write to `y` or `target`, because other code also uses
            these arrays.

        Returns
        -------
        values : array
            ``(batch,)`` or ``(batch, ...)``, in the dtype of `y`. The reduction "mean" averages
            over all values, even if a sample has several.
        derivative : callable
            ``derivative()`` returns an array with the shape and dtype of `y`. For each sample, the
            array holds the derivative of the sum of the sample's values with respect to the
            sample's outputs.
        """
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def check_outputs(self, xp: Any, y: Array) -> None:
        """Raise an error if these outputs are invalid. The check may wait for the device."""

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """Raise a `DataError` if `target` has invalid values. The check waits for the device."""

    def as_target(self, xp: Any, y: Array, target: Array) -> Array:
        """Check the shape of `target`, and convert `target` to the dtype that `formula` takes.

        Raises
        ------
        ShapeError
            If the shape of `target` does not fit the outputs `y`. By default, both shapes must be
            equal.
        """
        if several(y):
            if not fits(target, shape_of(y)):
                raise ShapeError(
                    f"{type(self).__name__}: expected targets of shape {shape_of(y)} like the "
                    f"outputs, found {shape_of(target)}"
                )
            return each(partial(self.as_target, xp), y, target)
        if target.shape != y.shape:
            expected, found = in_words(y, target)
            raise ShapeError(
                f"{type(self).__name__}: expected targets of shape {expected} like the outputs, "
                f"found {found}"
            )
        return target if target.dtype == y.dtype else xp.astype(target, y.dtype)

    def target_weight(self, xp: Any, y: Array, target: Array) -> Array | None:
        """Return sample weights that depend on the targets. None means that all these weights are
        1.

        The weights have shape ``(batch,)`` or the shape of the values. The reduction "mean" divides
        by the sum of these weights. The values of `formula` already include the weights.
        """
        return None

    def check(self, y: Array, target: Array) -> None:
        """Raise an error if the shape or the values of the targets are invalid for the outputs `y`.

        Calling the loss checks only targets in host memory. This method also checks targets on a
        device. `Trainer` calls this method once, with the whole data set.
        """
        xp, y = self._outputs(y, target)
        self.check_values(xp, y, self.as_target(xp, y, each(partial(like, first(y)), target)))

    def __call__(
        self, y: Array, target: Array, *, sample_weight: Array | None = None
    ) -> tuple[Array, Callable[..., Array]]:
        """Return the loss of the outputs `y`, and a function that computes the gradient.

        Parameters
        ----------
        y : array
            Outputs, ``(batch, features)``. A list or a data frame becomes a NumPy array. Outputs in
            float32 or float64 keep their dtype. Other dtypes (integers, float16) become float64.
        target : array
            Targets with the shape of the outputs. `CrossEntropyLoss` also accepts labels. A list, a
            data frame or an array of another library is moved to the device of the outputs. The
            outputs and the targets of a custom loss may be tuples or dicts of arrays.
        sample_weight : array, optional
            ``(batch,)``, weights of at least 0. The mean becomes a weighted mean: a sample with
            weight 2 counts as much as two samples. If a sample has several values, such as one for
            each step of a sequence, there may be a weight for each value instead. The mean is then
            the weighted sum of all values, divided by the sum of all weights.

        Returns
        -------
        value : array
            The loss, as a 0-d array or, with ``reduction="none"``, the array of all values.
        backward : callable
            ``backward(dvalue=1.0)`` returns the gradient with respect to `y`. The gradient has the
            shape of `y` and the dtype of the loss.

        Raises
        ------
        ShapeError
            If the shapes do not match. For example, ``(n,)`` does not match ``(n, 1)``.
        DataError
            If targets in host memory are invalid (see `check`), or if sample weights in host memory
            are negative or do not have a finite sum.
        """
        xp, y, target, weight = self._inputs(y, target, sample_weight)
        # `Trainer` checks all weights once, and then calls `sums`.
        if weight is not None and on_host(weight):
            check_weights("sample_weight", xp, weight, zeros=True)
        one = first(y)
        if self.reduction == "none":
            values, back = self._values(xp, y, target, weight)
            return weighted(xp, values, weight), lambda dvalue=1.0: back(_factor(xp, one, dvalue))
        loss_sum, total_weight, back = self._sums(xp, y, target, weight)
        scale = self.scale(total_weight)
        value = loss_sum * scale
        if value.dtype != one.dtype:  # a sum in float64 (see `total`)
            value = xp.astype(value, one.dtype)
        return value, lambda dvalue=1.0: back(_factor(xp, one, dvalue) * scale)

    def sums(
        self, y: Array, target: Array, *, sample_weight: Array | None = None
    ) -> tuple[Array, float | Array, Callable[[Any], Array]]:
        """Return the loss as a sum over samples, so that sums over parts of a batch can be added.

        Parameters
        ----------
        y, target, sample_weight
            See `__call__`.

        Returns
        -------
        loss_sum : array
            The sum over the samples, as a 0-d array (see `total`). The loss is
            ``scale(total_weight) * loss_sum``.
        total_weight : float or array
            The sum of the sample weights or, without weights, the number of samples.
        backward : callable
            ``backward(factor)`` returns the gradient of `loss_sum`, multiplied by `factor`.
        """
        return self._sums(*self._inputs(y, target, sample_weight))

    def _sums(
        self, xp: Any, y: Array, target: Array, weight: Array | None
    ) -> tuple[Array, float | Array, Callable[[Any], Array]]:
        one = first(y)
        values, back = self._values(xp, y, target, weight)
        loss_sum = total(xp, values, weight)
        by_target = self.target_weight(xp, y, target)
        if by_target is not None:
            weight = by_target if weight is None else along(weight, by_target) * by_target
        # If several values share a weight, "mean" averages over these values, while "batchmean" and
        # "sum" add them up.
        weights = one.shape[0] if weight is None else math.prod(weight.shape)
        share = weights / math.prod(values.shape) if self.reduction == "mean" else 1.0
        total_weight = float(one.shape[0]) if weight is None else xp.sum(weight)
        if by_target is not None and on_host(weight) and not bool(xp.isfinite(total_weight)):
            raise DataError(f"expected weights with a finite sum in {one.dtype}, found infinity")
        return loss_sum * share, total_weight, lambda factor: back(factor * share)

    def scale(self, total_weight: Any) -> float | Array:
        """Return the factor that turns a sum over samples into the loss: 1 or ``1 / total_weight``.

        The factor is 0 if all weights are 0, for example because all samples of a batch are
        ignored, or if the sum of the weights is too small to divide by.
        """
        if self.reduction == "sum":
            return 1.0
        if type(total_weight) is float:
            return 1.0 / total_weight
        xp = array_namespace(total_weight)
        positive = total_weight >= xp.finfo(total_weight.dtype).smallest_normal
        return xp.where(positive, 1.0 / xp.where(positive, total_weight, 1.0), 0.0)

    def _inputs(
        self, y: Any, target: Any, sample_weight: Any
    ) -> tuple[Any, Array, Array, Array | None]:
        """Check all arguments, and return their namespace and the arguments as arrays."""
        xp, y = self._outputs(y, target)
        one = first(y)
        if one.ndim == 0 or one.shape[0] == 0:
            raise DataError(f"expected at least one sample, found outputs of shape {shape_of(y)}")
        target = self.as_target(xp, y, each(partial(like, one), target))
        if on_host(first(target)):
            self.check_values(xp, y, target)
        if sample_weight is None:
            return xp, y, target, None
        weight = like(one, sample_weight)
        if weight.shape[:1] != one.shape[:1]:
            expected, found = one.shape[0], tuple(weight.shape)
            raise ShapeError(f"expected {expected} sample weights, found shape {found}")
        return xp, y, target, xp.astype(weight, one.dtype)

    def _outputs(self, y: Any, target: Any) -> tuple[Any, Arrays]:
        """Return the namespace and the outputs (see `as_outputs`) if `formula` takes their form."""
        xp, y = as_outputs(y)
        if not self.takes_several:
            expect_one_array(type(self).__name__, y, target)
        return xp, y

    def _values(
        self, xp: Any, y: Array, target: Array, weight: Array | None
    ) -> tuple[Array, Callable[[Any], Array]]:
        """Return the values without weights, and a function for the gradient with weights."""
        values, gradient = self._weighted_formula(xp, y, target)
        if weight is None:
            return values, lambda dvalues: each(lambda g: g * along(dvalues, g), gradient())
        if weight.ndim > 1:
            self._expect_weight_per_value(weight, values, first(y))
        weight = along(weight, values)
        return values, lambda dvalues: each(
            lambda g: times(xp, g, along(dvalues * weight, g)), gradient()
        )

    def _expect_weight_per_value(self, weight: Array, values: Array, y: Array) -> None:
        """Raise a `ShapeError` unless each value has its own weight and its own outputs."""
        separate = values.ndim > 1 and values.shape == y.shape[: values.ndim]
        if separate and weight.shape == values.shape:
            return
        of_values, found = in_words(values, weight)
        expected = f"(batch,) or {of_values}" if separate else "(batch,)"
        raise ShapeError(
            f"{type(self).__name__}: expected sample weights of shape {expected}, found {found}"
        )

    def _weighted_formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """Apply the formula, and multiply the results by the weights of the outputs or labels."""
        return self._checked_formula(xp, y, target)

    def _checked_formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """Call `formula`, and check the values and the derivative that it returns."""
        if self._is_custom:
            result = self._custom_formula(xp, y, target)
        else:
            result = self.formula(xp, y, target)
        if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
            raise TypeError(
                f"{self!r}: expected formula to return an array of values and a function that "
                f"returns the derivative, found {shown(result)}"
            )
        values, derivative = result
        self._expect_array("values", values, first(y), axes=1)
        return values, lambda: self._expect_gradient(derivative(), y)

    def _custom_formula(self, xp: Any, y: Arrays, target: Arrays) -> Formula:
        """Call `formula` with arrays that it cannot change. If this fails, the error names it."""
        read_only = get_backend(xp).read_only
        with blaming(repr(self)):
            return self.formula(xp, each(read_only, y), each(read_only, target))

    def _expect_gradient(self, gradient: Arrays, y: Arrays) -> Arrays:
        """Return `gradient` if its form, shapes and dtype match `y`; otherwise raise an error."""
        if not several(y) and not several(gradient):
            return self._expect_array("gradient", gradient, y)
        if named("", gradient).keys() != named("", y).keys():
            raise TypeError(
                f"{self!r}: expected a gradient in the same form as the outputs ({shown(y)}), "
                f"found {shown(gradient)}"
            )
        return each(partial(self._expect_array, "gradient"), gradient, y)

    def _expect_array(self, what: str, result: Any, y: Array, *, axes: int | None = None) -> Array:
        """Return `result` if its dtype and shape fit `y`; otherwise raise an error."""
        if not hasattr(result, "dtype"):
            raise TypeError(f"{self!r}: expected an array as {what}, found {shown(result)}")
        if result.shape[:axes] != y.shape[:axes]:
            expected = tuple(y.shape) if axes is None else f"({y.shape[0]}, ...)"
            found = tuple(result.shape)
            raise ShapeError(f"{self!r}: expected {what} of shape {expected}, found {found}")
        if result.dtype != y.dtype:
            raise other_dtype(f"{self!r}: {what}", result.dtype, y.dtype)
        return result

    def __repr__(self) -> str:
        options = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        words = ", ".join(f"{k}={repr_without_elements(v)}" for k, v in options.items())
        return f"{type(self).__name__}({words})"


def times(xp: Any, x: Array, weight: Array) -> Array:
    """Return ``x * weight``. Where the weight is 0, return 0, even if `x` is infinite or NaN."""
    return xp.where(weight == 0.0, 0.0, x) * weight


def _factor(xp: Any, y: Array, dvalue: Any) -> Any:
    """Return the gradient of a loss with respect to its value as a number or in the dtype of `y`.

    NumPy's numbers become Python's, because a product with ``numpy.float64`` is always float64.
    """
    return float(dvalue) if isinstance(dvalue, Real) else xp.astype(like(y, dvalue), y.dtype)


def weighted(xp: Any, values: Array, weight: Array | None) -> Array:
    """Return the values times the weights of their samples."""
    return values if weight is None else times(xp, values, along(weight, values))


def total(xp: Any, values: Array, weight: Array | None = None) -> Array:
    """Return the weighted sum of all values. If the sum overflows, compute it in float64.

    This ensures that the mean of finite values is finite. On a device, there is no check for an
    overflow, because the check would wait for the device.
    """
    result = xp.sum(weighted(xp, values, weight))
    if not on_host(result) or math.isfinite(float(result)):
        return result
    values, weight = (a if a is None else xp.astype(a, xp.float64) for a in (values, weight))
    return xp.sum(weighted(xp, values, weight))


def along(factor: Any, y: Array) -> Any:
    """Append axes to `factor` until it has as many axes as `y`. Return a number unchanged."""
    axes = getattr(factor, "ndim", 0)
    return factor if axes in (0, y.ndim) else factor[(..., *(None,) * (y.ndim - axes))]
