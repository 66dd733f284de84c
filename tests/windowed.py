"""Random arguments of convolutions and pooling."""

import numpy as np


def per_axis(rng, low, high, axes=2):
    """Return an integer for all axes or one for each, from `low` up to and including `high`."""
    if rng.random() < 0.4:
        return int(rng.integers(low, high + 1))
    return tuple(int(n) for n in rng.integers(low, high + 1, size=axes))


def convolution(rng, axes):
    groups = int(rng.choice([1, 1, 2, 3]))
    inputs, outputs = (groups * int(n) for n in rng.integers(1, 4, size=2))
    options = {"dilation": per_axis(rng, 1, 3, axes), "groups": groups, "bias": rng.random() < 0.7}
    kind = rng.random()
    if kind < 0.15:
        options["padding"] = "same"
    elif kind < 0.25:
        options |= {"padding": "valid", "stride": per_axis(rng, 1, 3, axes)}
    else:
        options |= {"padding": per_axis(rng, 0, 3, axes), "stride": per_axis(rng, 1, 4, axes)}
    return inputs, (inputs, outputs, per_axis(rng, 1, 4, axes)), options


def transposed(rng, axes):
    inputs, (_, outputs, size), options = convolution(rng, axes)
    options |= {"padding": per_axis(rng, 0, 1), "stride": per_axis(rng, 1, 3)}
    limits = (np.broadcast_to(options[name], 2) for name in ("stride", "dilation"))
    most = np.maximum(*limits) - 1
    options["output_padding"] = tuple(int(rng.integers(0, n + 1)) for n in most)
    return inputs, (inputs, outputs, size), options


def pooling(rng, axes):
    size = per_axis(rng, 1, 4, axes)
    most = int(np.min(size)) // 2
    options = {"padding": per_axis(rng, 0, most, axes), "ceil_mode": rng.random() < 0.5}
    if rng.random() < 0.7:
        options["stride"] = per_axis(rng, 1, 4, axes)
    return int(rng.integers(1, 4)), (size,), options


def max_pooling(rng, axes):
    channels, arguments, options = pooling(rng, axes)
    return channels, arguments, options | {"dilation": per_axis(rng, 1, 2, axes)}


def avg_pooling(rng, axes):
    channels, arguments, options = pooling(rng, axes)
    return channels, arguments, options | {"count_include_pad": rng.random() < 0.5}


def adaptive(rng, axes):
    return int(rng.integers(1, 4)), (per_axis(rng, 1, 6),), {}


KINDS = {
    "Conv1d": (convolution, 1),
    "Conv2d": (convolution, 2),
    "ConvTranspose2d": (transposed, 2),
    "MaxPool1d": (max_pooling, 1),
    "MaxPool2d": (max_pooling, 2),
    "AvgPool1d": (avg_pooling, 1),
    "AvgPool2d": (avg_pooling, 2),
    "AdaptiveAvgPool2d": (adaptive, 2),
}


def drawn(name, rng):
    """Draw an input for a layer of this kind, and the arguments of the layer."""
    make, axes = KINDS[name]
    channels, arguments, options = make(rng, axes)
    x = rng.normal(size=(int(rng.integers(1, 4)), channels, *rng.integers(3, 12, size=axes)))
    return np.round(x, 1), arguments, options  # some elements are equal
