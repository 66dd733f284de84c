"""Hints for names from PyTorch and Keras, with their equivalents in chainrule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

_HERE = {
    "compile": "cr.Trainer(model, loss=..., optimizer=...) takes loss and optimizer",
    "add": "cr.Sequential(*layers) takes all layers at once",
    "cpu": "backend= and device= in the constructor of the model",
    "cuda": "backend='cupy', or backend='torch' and device='cuda', in the constructor of the model",
    "double": "dtype='float64' in the constructor of the model",
    "eval": "model.predict(x) and forward(x, training=False) compute in inference mode",
    "evaluate": "cr.Trainer(model, loss=..., optimizer=...).evaluate(x, y)",
    "fit": "cr.Trainer(model, loss=..., optimizer=...).fit(x, y)",
    "get_weights": "model.named_parameters() returns the parameters by name; each has its array in "
    ".value",
    "load_state_dict": "model.load_weights(path)",
    "modules": "for layer in model, or layer.children()",
    "requires_grad_": "layer.freeze() and layer.unfreeze()",
    "state_dict": "model.named_stored() returns parameters and buffers by name; model.save(path) "
    "writes them to a file",
    "to": "backend=, device= and dtype= in the constructor of the model",
    "train": "cr.Trainer(model, loss=..., optimizer=...).fit(x, y), or forward(x, training=True)",
}


class Hints:
    """Base class of layers: for names from PyTorch and Keras, the error shows the equivalent."""

    if not TYPE_CHECKING:  # type checkers should report these names

        def __getattr__(self, name: str) -> Any:
            if name in _HERE:
                raise AttributeError(f"{type(self).__name__} has no {name!r}: {_HERE[name]}")
            return object.__getattribute__(self, name)  # raises Python's usual error

        def __call__(self, *inputs: Any, **options: Any) -> NoReturn:
            raise TypeError(
                f"{type(self).__name__} cannot be called: model.predict(x) returns the outputs; "
                "layer.forward(x) returns the output and the function for the backward pass"
            )
