"""Hints for names from PyTorch and Keras, with their equivalents in chainrule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

_HERE = {
    "compile": "cr.Trainer(model, loss=..., optimizer=...) takes the loss and the optimizer",
    "add": "cr.Sequential(*layers) takes all layers at once",
    "cpu": "pass backend= and device= to the constructor of the model",
    "cuda": "pass backend='cupy', or backend='torch' and device='cuda', to the constructor of the "
    "model",
    "double": "pass dtype='float64' to the constructor of the model",
    "eval": "model.predict(x) and forward(x, training=False) compute in inference mode",
    "evaluate": "use cr.Trainer(model, loss=..., optimizer=...).evaluate(x, y)",
    "fit": "use cr.Trainer(model, loss=..., optimizer=...).fit(x, y)",
    "get_weights": "model.named_parameters() returns a dict from names to parameters, and "
    "parameter.value is the array",
    "load_state_dict": "use model.load_weights(path)",
    "modules": "write 'for layer in model', or call layer.children()",
    "requires_grad_": "use layer.freeze() and layer.unfreeze()",
    "state_dict": "model.named_stored() returns a dict from names to parameters and buffers, "
    "and model.save(path) writes them to a file",
    "to": "pass backend=, device= and dtype= to the constructor of the model",
    "train": "use cr.Trainer(model, loss=..., optimizer=...).fit(x, y), or forward(x, "
    "training=True)",
}


class Hints:
    """Base class of layers. For a name from PyTorch or Keras, the error shows the equivalent."""

    if not TYPE_CHECKING:  # with these methods, type checkers would accept every name

        def __getattr__(self, name: str) -> Any:
            if name in _HERE:
                raise AttributeError(f"{type(self).__name__} has no {name!r}: {_HERE[name]}")
            return object.__getattribute__(self, name)  # raises Python's usual error

        def __call__(self, *inputs: Any, **options: Any) -> NoReturn:
            raise TypeError(
                f"{type(self).__name__} cannot be called: model.predict(x) returns the outputs; "
                "layer.forward(x) returns the output and the function for the backward pass"
            )
