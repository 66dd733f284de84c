"""Conversion of PyTorch models to models with the same layers, weights and parameter names.

The opposite direction needs no function, because `Sequential.save` writes a ``state_dict``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import numpy as np

from .. import layers
from ..backends.base import BackendLike
from ..errors import shown
from ..layers import Layer, Sequential
from ..layers.recurrence import Recurrent
from ..layers.windowed import Windowed
from ..parameter import Parameter


def from_torch(
    module: Any, *, backend: BackendLike = "numpy", device: Any = None, dtype: str | None = None
) -> Sequential:
    """Convert a ``torch.nn.Sequential`` to a model with the same outputs and gradients.

    Weights and running statistics are copied. A module that is used twice becomes a layer that is
    used twice. Parameter names such as ``"0.weight"`` stay the same. If the modules of an
    ``OrderedDict`` have words as names, numbers replace these words. Frozen parameters
    (``requires_grad=False``) stay frozen. See `BatchNorm` for the effect on that layer. In
    training, the dropout masks differ from PyTorch's.

    Parameters
    ----------
    module : torch.nn.Module
        A ``Sequential``, which may be nested, or one of ``AdaptiveAvgPool2d``, ``AvgPool1d``,
        ``AvgPool2d``, ``BatchNorm1d``, ``BatchNorm2d``, ``Conv1d``, ``Conv2d``,
        ``ConvTranspose2d``, ``Dropout``, ``Dropout2d``, ``ELU``, ``Embedding``, ``Flatten``,
        ``GELU``, ``GRU``, ``GroupNorm``, ``Identity``, ``LSTM``, ``LayerNorm``, ``LeakyReLU``,
        ``Linear``, ``LogSoftmax``, ``MaxPool1d``, ``MaxPool2d``, ``PReLU``, ``RNN``, ``ReLU``,
        ``ReLU6``, ``SiLU``, ``Sigmoid``, ``Softmax``, ``Softplus``, ``Tanh``, ``Unflatten`` and
        ``ZeroPad2d``. Layer norms, softmaxes and the slopes of a ``PReLU`` must apply to the last
        axis. If a model begins with a ``Linear``, its input is assumed to have shape
        ``(batch, features)``, so that PyTorch's axis 1 is the last axis. An ``Embedding`` with
        ``max_norm``, ``sparse`` or ``scale_grad_by_freq`` is not supported. A recurrent module
        needs ``batch_first=True``. It must be the last module, because it returns a tuple of the
        outputs and the states. The converted layer returns only the outputs. If a network has
        modules after a recurrent module, build the same layers in chainrule, and pass PyTorch's
        tensors to the model's ``bind(values=...)``.
    backend, device : optional
        The backend and device of the model, see `Layer.bind`.
    dtype : {"float32", "float64"}, optional
        The dtype of the computation. By default, float64 if any tensor of the module is float64,
        else float32.

    Returns
    -------
    Sequential
        The model. A single module becomes a `Sequential` with one layer.

    Raises
    ------
    TypeError
        If a module or one of its options is not supported. The message names the module and says
        what is supported.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    >>> model = cr.from_torch(net)
    >>> model
    Sequential(
      0: Linear(4, 3)
      1: ReLU()
    )
    >>> np.array_equal(model[0].weight.value, net[0].weight.detach())
    True
    """
    torch = sys.modules.get("torch")  # a module can only exist if torch was imported
    if torch is None or not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"expected a torch.nn.Sequential or another torch.nn.Module, found {shown(module)}"
        )
    converter = _Converter(torch.nn)
    layer = converter.layer(module, "")
    model = layer if isinstance(layer, Sequential) else Sequential(layer)
    if dtype is None:
        double = any(tensor.dtype == torch.float64 for tensor in module.state_dict().values())
        dtype = "float64" if double else "float32"
    values = {name: converter.values[id(part)] for name, part in model.named_stored().items()}
    return model.bind(backend, device=device, dtype=dtype, values=values)


class _UnsupportedError(Exception):
    """The reason why a module cannot be converted."""


class _Converter:
    """Converts each module to one layer, no matter how often the module is used."""

    def __init__(self, nn: Any) -> None:
        self.kinds = {getattr(nn, name): make for name, make in _LAYERS.items()}
        self.sequential, self.batch_norm_2d = nn.Sequential, nn.BatchNorm2d
        self.made: dict[int, Layer] = {}
        self.values: dict[int, np.ndarray] = {}  # values of each parameter and buffer
        self.owners: dict[int, str] = {}  # for each tensor, the name of its module
        self.rows: bool | None = None  # whether the next input is (batch, features), if known
        self.recurrent = ""  # the place of an earlier recurrent module, if any

    def layer(self, module: Any, place: str) -> Layer:
        """Return the layer for a module. Every use of a module gets the same layer.

        Each use is checked separately, because its input may have different axes.
        """
        layer = self.checked(module, place)
        return self.made.setdefault(id(module), layer)

    def checked(self, module: Any, place: str) -> Layer:
        try:
            kind = self.kind(module)
            if kind is self.sequential:
                return self.chain(module, place)
            if self.recurrent:
                _refuse(
                    f"expected no module after the recurrent module {self.recurrent!r}, which "
                    "returns a tuple of the outputs and the states"
                )
            layer = self.kinds[kind](module, bool(self.rows))
            if self.rows and (isinstance(layer, _OF_IMAGES) or kind is self.batch_norm_2d):
                _refuse("expected images; after a Linear or Flatten, an Unflatten is needed first")
            if id(module) not in self.made:
                self.fill(layer, module, place)
        except (_UnsupportedError, ValueError) as error:
            what = " ".join(repr(module).split())
            where = f"module {place!r}, " if place else ""
            raise TypeError(f"{where}{what}: {error}") from error
        if isinstance(layer, layers.Flatten):
            self.rows = True
        elif isinstance(layer, _OF_MORE_AXES) or kind is self.batch_norm_2d:
            self.rows = False
        elif isinstance(layer, Recurrent):
            self.recurrent = place
        elif self.rows is None and isinstance(layer, layers.Linear):
            self.rows = True
        return layer

    def kind(self, module: Any) -> Any:
        """Return the PyTorch class of this module. Refuse a module that overrides `forward`."""
        if "forward" not in vars(module):
            for kind in type(module).__mro__:
                if kind in self.kinds or kind is self.sequential:
                    return kind
                if "forward" in vars(kind):
                    break
        _refuse(
            "not supported. Supported modules are torch.nn.Sequential and, if forward is not "
            f"overridden, {', '.join(_LAYERS)}"
        )

    def chain(self, module: Any, place: str) -> Layer:
        _without_hooks(module)
        children = module._modules.items()  # named_children would list a reused module only once
        prefix = f"{place}." if place else ""
        inner = [self.layer(child, prefix + name) for name, child in children]
        return self.made[id(module)] if id(module) in self.made else Sequential(*inner)

    def fill(self, layer: Layer, module: Any, place: str) -> None:
        """Record the module's tensors as the initial values of the layer."""
        _without_hooks(module)
        stored, tensors = layer.named_stored(), module.state_dict(keep_vars=True)
        tensors.pop("num_batches_tracked", None)
        if stored.keys() != tensors.keys():
            _refuse(f"expected tensors {_listed(stored)}, found {_listed(tensors)}")
        for name, part in stored.items():
            tensor = tensors[name]
            if self.owners.setdefault(id(tensor), place) != place:
                _refuse(
                    f"its {name} also belongs to module {self.owners[id(tensor)]!r}: to share "
                    "weights, use the same module twice"
                )
            if not tensor.is_floating_point():
                _refuse(f"expected {name} to hold floating-point numbers, found {tensor.dtype}")
            if tensor.is_meta:
                _refuse(f"{name} has no values, because it is on device 'meta'")
            value = tensor.detach().cpu().double().numpy()
            if value.shape != part.shape:
                _refuse(f"expected {name} of shape {part.shape}, found {value.shape}")
            if not np.isfinite(value).all():
                _refuse(f"its {name} contains NaN or infinity")
            self.values[id(part)] = value
            if isinstance(part, Parameter):
                part.trainable = tensor.requires_grad


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"


def _refuse(why: str) -> NoReturn:
    raise _UnsupportedError(why)


def _without_hooks(module: Any) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        _refuse("it has hooks, which may change what it computes: remove them first")


def _expect(module: Any, **options: Any) -> None:
    """Raise an error unless the options of a module have the values that the layer requires."""
    for name, value in options.items():
        found = getattr(module, name)
        if found != value:
            _refuse(f"expected {name}={value!r}, found {name}={found!r}")


Maker: TypeAlias = Callable[[Any, bool], Layer]


def _plain(kind: type[Layer]) -> Maker:
    """Return a function that makes a layer without options."""
    return lambda module, rows: kind()


def _linear(module: Any, rows: bool) -> Layer:
    options: dict[str, Any] = {"bias": False} if module.bias is None else {}
    return layers.Linear(module.in_features, module.out_features, **options)


def _embedding(module: Any, rows: bool) -> Layer:
    _expect(module, max_norm=None, scale_grad_by_freq=False, sparse=False)
    options = {} if module.padding_idx is None else {"padding_idx": module.padding_idx}
    return layers.Embedding(module.num_embeddings, module.embedding_dim, **options)


def _gelu(module: Any, rows: bool) -> Layer:
    options = {} if module.approximate == "none" else {"approximate": module.approximate}
    return layers.GELU(**options)


def _prelu(module: Any, rows: bool) -> Layer:
    slopes = module.num_parameters
    if slopes > 1 and not rows:
        _refuse(f"expected num_parameters=1 (more are allowed only after a Linear), found {slopes}")
    return layers.PReLU(slopes) if slopes > 1 else layers.PReLU()


def _softplus(module: Any, rows: bool) -> Layer:
    _expect(module, beta=1.0, threshold=20.0)
    return layers.Softplus()


def _over_last_axis(kind: type[Layer]) -> Maker:
    def make(module: Any, rows: bool) -> Layer:
        if module.dim != -1 and not (rows and module.dim == 1):
            _refuse(f"expected dim=-1 (the last axis), found dim={module.dim}")
        return kind()

    return make


def _flatten(module: Any, rows: bool) -> Layer:
    _expect(module, start_dim=1, end_dim=-1)
    return layers.Flatten()


def _batch_norm(module: Any, rows: bool) -> Layer:
    _expect(module, track_running_stats=True)
    if module.momentum is None:
        _refuse("expected momentum to be a number, found None")
    options = {} if module.affine else {"affine": False}
    return layers.BatchNorm(
        module.num_features, eps=module.eps, momentum=module.momentum, **options
    )


def _group_norm(module: Any, rows: bool) -> Layer:
    options = {} if module.affine else {"affine": False}
    return layers.GroupNorm(module.num_groups, module.num_channels, eps=module.eps, **options)


def _layer_norm(module: Any, rows: bool) -> Layer:
    _expect(module, elementwise_affine=True)
    if len(module.normalized_shape) != 1:
        _refuse(f"expected one axis in normalized_shape, found {module.normalized_shape}")
    return layers.LayerNorm(module.normalized_shape[0], eps=module.eps)


def _unflatten(module: Any, rows: bool) -> Layer:
    dim = 1 if rows and module.dim == -1 else module.dim
    return layers.Unflatten(dim, tuple(module.unflattened_size))


def _convolution(kind: type[layers.Conv2d]) -> Maker:
    def make(module: Any, rows: bool) -> Layer:
        _expect(module, padding_mode="zeros")
        options = _options(module, stride=1, padding=0, dilation=1, groups=1)
        return kind(*_channels_and_size(module), **options)

    return make


def _conv_transpose(module: Any, rows: bool) -> Layer:
    _expect(module, padding_mode="zeros")
    options = _options(module, stride=1, padding=0, output_padding=0, groups=1, dilation=1)
    return layers.ConvTranspose2d(*_channels_and_size(module), **options)


def _channels_and_size(module: Any) -> tuple[Any, ...]:
    return module.in_channels, module.out_channels, _per_axis(module.kernel_size)


def _max_pool(kind: type[layers.MaxPool2d]) -> Maker:
    def make(module: Any, rows: bool) -> Layer:
        _expect(module, return_indices=False)
        size = _per_axis(module.kernel_size)
        return kind(size, **_options(module, stride=size, padding=0, dilation=1, ceil_mode=False))

    return make


def _avg_pool(kind: type[layers.AvgPool2d]) -> Maker:
    def make(module: Any, rows: bool) -> Layer:
        if getattr(module, "divisor_override", None) is not None:
            _expect(module, divisor_override=None)
        size, given = _per_axis(module.kernel_size), {"ceil_mode": False, "count_include_pad": True}
        return kind(size, **_options(module, stride=size, padding=0, **given))

    return make


def _adaptive_avg_pool(module: Any, rows: bool) -> Layer:
    size = _per_axis(module.output_size)
    if size is None or (isinstance(size, tuple) and None in size):
        _refuse(f"expected the number of rows and columns, found output_size={module.output_size}")
    return layers.AdaptiveAvgPool2d(size)


def _recurrent(kind: type[Recurrent], **defaults: Any) -> Maker:
    def make(module: Any, rows: bool) -> Layer:
        _expect(module, batch_first=True, proj_size=0)
        defaults_of_all = {"num_layers": 1, "bias": True, "bidirectional": False, "dropout": 0.0}
        options = _options(module, **defaults_of_all, **defaults)
        return kind(module.input_size, module.hidden_size, **options)

    return make


def _options(module: Any, **defaults: Any) -> dict[str, Any]:
    """Return the options of a module that differ from these defaults, and whether it has a bias."""
    found = {name: _per_axis(getattr(module, name)) for name in defaults}
    options = {name: value for name, value in found.items() if value != defaults[name]}
    without_bias = getattr(module, "bias", True) is None
    return options | {"bias": False} if without_bias else options


def _per_axis(numbers: Any) -> Any:
    """Return a single number if the numbers for all axes are equal."""
    alike = isinstance(numbers, tuple | list) and len(set(numbers)) == 1
    return numbers[0] if alike else numbers


_OF_IMAGES = Windowed | layers.AdaptiveAvgPool2d | layers.ZeroPad2d | layers.Dropout2d
_OF_MORE_AXES = _OF_IMAGES | layers.Unflatten | layers.Embedding

_LAYERS: dict[str, Maker] = {
    "AdaptiveAvgPool2d": _adaptive_avg_pool,
    "AvgPool1d": _avg_pool(layers.AvgPool1d),
    "AvgPool2d": _avg_pool(layers.AvgPool2d),
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "Conv1d": _convolution(layers.Conv1d),
    "Conv2d": _convolution(layers.Conv2d),
    "ConvTranspose2d": _conv_transpose,
    "Dropout": lambda module, rows: layers.Dropout(module.p),
    "Dropout2d": lambda module, rows: layers.Dropout2d(module.p),
    "ELU": lambda module, rows: layers.ELU(module.alpha),
    "Embedding": _embedding,
    "Flatten": _flatten,
    "GELU": _gelu,
    "GRU": _recurrent(layers.GRU),
    "GroupNorm": _group_norm,
    "Identity": _plain(layers.Identity),
    "LSTM": _recurrent(layers.LSTM),
    "LayerNorm": _layer_norm,
    "LeakyReLU": lambda module, rows: layers.LeakyReLU(module.negative_slope),
    "Linear": _linear,
    "LogSoftmax": _over_last_axis(layers.LogSoftmax),
    "MaxPool1d": _max_pool(layers.MaxPool1d),
    "MaxPool2d": _max_pool(layers.MaxPool2d),
    "PReLU": _prelu,
    "RNN": _recurrent(layers.RNN, nonlinearity="tanh"),
    "ReLU": _plain(layers.ReLU),
    "ReLU6": _plain(layers.ReLU6),
    "SiLU": _plain(layers.SiLU),
    "Sigmoid": _plain(layers.Sigmoid),
    "Softmax": _over_last_axis(layers.Softmax),
    "Softplus": _softplus,
    "Tanh": _plain(layers.Tanh),
    "Unflatten": _unflatten,
    "ZeroPad2d": lambda module, rows: layers.ZeroPad2d(_per_axis(tuple(module.padding))),
}
