"""The base class of all optimizers: binding to a model, and the step itself.

The rule of an optimizer is a function. A step applies the rule to the flat vectors of the model,
not to each layer. The backend makes the rule fast (see `Backend.elementwise`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from array_api_compat import array_namespace

from ..checks import instance
from ..errors import DivergenceError, shown
from ..layers import Layer
from ..model_state import ModelState
from ..parameter import Parameter
from ..types import Array, Rule
from .gradient import Gradient
from .options import Options
from .rates import rate_of_each
from .stretches import Stretch, joined


class Optimizer(Options):
    """Base class of all optimizers: learning rates, penalties, clipping and the step itself.

    Parameters
    ----------
    lr : float, callable or dict
        The learning rate, at least 0: a number, or a function of the step number such as
        `schedules.cosine`. A dict sets the rate of each layer. For example,
        ``{"0": 1e-4, "": 1e-3}`` means 1e-4 for the layer ``"0"``, and 1e-3 for all others. A key
        applies to all parameters whose names in `Layer.named_parameters` begin with this key. If
        several keys match, the longest key is used.
    weight_decay : float, optional
        Coefficient of the L2 penalty ``weight_decay / 2 * sum(value^2)``, which adds
        ``weight_decay * value`` to the gradient. (`AdamW` instead shrinks the values.)
    l1 : float, optional
        Coefficient of the L1 penalty ``l1 * sum(|value|)``, which adds ``l1 * sign(value)`` to the
        gradient, even in `AdamW` (R. Tibshirani, "Regression shrinkage and selection via the
        lasso", 1996).
    decay_biases : bool, optional
        Whether both penalties also apply to parameters that are exempt by default, such as biases.
    clip_norm : float, optional
        Maximum Euclidean norm of the gradient of the whole model. A longer gradient is scaled down
        to this norm (R. Pascanu et al., "On the difficulty of training recurrent neural networks",
        2013). As in PyTorch, the gradients of penalties are added after clipping.

    Notes
    -----
    Penalties change only the gradient. The reported loss does not include penalties.

    While a parameter is frozen, its value, its state vectors and its step count do not change.

    To write a custom optimizer, name its state vectors in `slots` and define `rule` and `scalars`.

    Examples
    --------
    >>> class Smooth(cr.Optimizer):
    ...     slots = ("mean",)
    ...
    ...     def scalars(self, lr, step):
    ...         return lr, 0.9, 0.1
    ...
    ...     def rule(self, xp):
    ...         return self.along_the_mean
    ...
    ...     @staticmethod
    ...     def along_the_mean(value, mean, grad, lr, keep, new):
    ...         mean = keep * mean + new * grad
    ...         return value - lr * mean, mean
    >>> model = cr.mlp([1, 1])
    >>> optimizer = Smooth(lr=1.0).bind(model)
    >>> model[0].bias.add_grad(np.ones(1, dtype="float32"))
    >>> optimizer.step()
    >>> model[0].bias.value
    array([-0.1], dtype=float32)
    """

    squares_gradients: ClassVar[bool] = False
    """Whether the rule squares gradients. If so, very large gradients are clipped."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        self = super().__new__(cls, *args, **options)
        self._unbind()
        return self

    def _unbind(self) -> None:
        self.steps = 0
        self.moving = False  # whether a step has begun to change the parameters
        self._model_state: ModelState | None = None
        self._vectors: dict[str, Array] = {}
        self._parameters: dict[str, Parameter] = {}  # in the order of the flat vectors
        self._frozen_steps: list[int] = []  # one count per parameter
        self._rate_of: list[str] = []  # the key of each parameter's rate in `lr`
        self._parts: list[Stretch] = []  # see `stretches`
        self._made_for: Any = None  # the parameters' flags when `_parts` was created
        self._update: Any = None  # applies the rule
        self._gradient: Any = None  # see `Gradient`
        self._prepared: Any = None  # the `structure` when `_update` was created

    def rule(self, xp: Any) -> Rule:
        """Return ``rule(value, *slots, grad, *scalars) -> (value, *slots)``.

        Always return the same function, because `Backend.elementwise` compiles every new function.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    def bind(self, model: Layer) -> Self:
        """Prepare to train `model`, and create the state vectors.

        Returns
        -------
        Optimizer
            The optimizer itself.

        Raises
        ------
        ValueError
            If the optimizer is bound to another model, if `model` is part of another model, if a
            key in a dict of learning rates matches no parameter, or if a parameter has no learning
            rate.
        RuntimeError
            If a layer was added to the model after its weights were drawn.
        TypeError
            If `model` is not a layer.
        """
        model = instance(Layer, model, "a model")
        if model._parent is not None:
            raise ValueError(
                f"expected a whole model, found part of a model, {model._label()}: freeze the "
                "other layers and train the whole model, or train a copy() of this part"
            )
        state = model.state
        if len(model.parameters()) != len(state.parameters):
            raise RuntimeError("a layer was added to this model after its weights were drawn")
        if self._model_state is state:
            return self
        if self._model_state is not None:
            raise ValueError(f"{self!r} already trains another model: create a new optimizer")
        names = {id(p): name for name, p in model.named_parameters().items()}
        self._parameters = {names[id(p)]: p for p in state.parameters}
        self._prepare(state)
        self._model_state, self._frozen_steps = state, [0] * len(self._parameters)
        return self

    def _prepare(self, state: ModelState) -> None:
        """Create the state vectors and the update function, which depend on the options."""
        slots: Any = self.slots
        if isinstance(slots, str):
            raise TypeError(f"{self!r}: expected a tuple of slots, found {shown(slots)}")
        self._rate_of = rate_of_each(self.lr, list(self._parameters))
        self._vectors = {
            name: self._vectors[name] if name in self._vectors else self._initial(name, state)
            for name in self.slots
        }
        self._update = state.backend.elementwise(self.rule, outputs=1 + len(self.slots))
        self._gradient = Gradient(state, self._parameters, squared=self.squares_gradients)
        self._prepared, self._made_for = self.structure, None

    def _prepared_state(self) -> ModelState:
        """Update everything that depends on changed options, and return the model's state."""
        if self._model_state is None:
            raise RuntimeError(f"{self!r} has no model: call optimizer.bind(model) first")
        if self._prepared != self.structure:
            self._prepare(self._model_state)
        parameters = [(p.trainable, p.decay) for p in self._parameters.values()]
        if parameters != self._made_for:
            each = zip(self._parameters.values(), self._rate_of, self._frozen_steps, strict=True)
            self._parts = joined(
                Stretch(p._part, self._is_penalized(p), rate, frozen)
                for p, rate, frozen in each
                if p.trainable
            )
            self._made_for = parameters
        return self._model_state

    def copy(self) -> Self:
        """Return an unbound copy at step 0, with the same hyperparameters and schedules."""
        twin = type(self).__new__(type(self))
        options = {name: value for name, value in vars(self).items() if name not in vars(twin)}
        vars(twin).update(copy.deepcopy(options))
        return twin

    def _initial(self, name: str, state: ModelState) -> Array:
        return state.backend.xp.zeros_like(state.values)

    def step(self) -> None:
        """Update the parameters. The next backward pass then overwrites the gradients.

        Raises
        ------
        RuntimeError
            If the optimizer is not bound to a model.
        DivergenceError
            If a gradient in host memory is NaN or infinite. The parameters are then unchanged.
            (Gradients on a device are not checked, because the check would wait for the device. If
            such a gradient is NaN, so is the next loss.)
        """
        state = self._prepared_state()
        stretches = self._parts
        numbers = state.inputs.numbers(state, self.numbers(stretches, self.steps))
        *lines, clip_norm = [numbers[i] for i in range(numbers.shape[0])]
        grads = state.begin_step()
        try:
            self._gradient.prepare(grads, None if self.clip_norm is None else clip_norm)
        except DivergenceError:
            state.end_step()  # the next backward pass overwrites the gradients
            raise
        width = len(lines) // max(1, len(stretches))
        self.moving = True
        for i, (part, penalized, *_) in enumerate(stretches):
            *scalars, l1, decay = lines[i * width : (i + 1) * width]
            value, grad = state.values[part], grads[part]
            if penalized:
                grad = self._with_penalties(state.backend, grad, value, l1, decay)
            slots = [vector[part] for vector in self._vectors.values()]
            self._update(value, *slots, grad, *scalars)
        state.limit_norms()
        state.end_step()
        self.count_step()
        self.moving = False

    def count_step(self, steps: int = 1) -> None:
        """Count steps for all parameters that are not frozen."""
        self.steps += steps
        frozen = [not p.trainable for p in self._parameters.values()]
        if True in frozen:
            pairs = zip(self._frozen_steps, frozen, strict=True)
            self._frozen_steps = [count + steps * also for count, also in pairs]

    @property
    def counts(self) -> tuple[int, list[int]]:
        """The number of steps, and the number of steps in which each parameter was frozen."""
        return self.steps, self._frozen_steps

    @counts.setter
    def counts(self, counts: tuple[int, list[int]]) -> None:
        if counts[1] != self._frozen_steps:
            self._made_for = None  # stretches hold the frozen steps
        self.steps, self._frozen_steps = counts

    def stretches(self) -> list[Stretch]:
        """Return slices of the flat vectors with trained parameters that have equal properties."""
        self._prepared_state()
        return self._parts

    def state(self) -> dict[str, Any]:
        """Return everything that is needed to resume training (see `load_state`).

        Returns
        -------
        dict
            JSON-compatible values, and the entry ``"vectors"``: a dict with copies of the state
            vectors.
        """
        vectors = {
            name: array_namespace(vector).asarray(vector, copy=True)
            for name, vector in self._vectors.items()
        }
        counts = {"steps": self.steps, "frozen_steps": list(self._frozen_steps)}
        return {**self.description(), **counts, "vectors": vectors}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state that the method `state` returned. Schedules are not restored.

        Parameters
        ----------
        state : dict
            The result of the method `state`. The vectors may be arrays of any library.

        Raises
        ------
        RuntimeError
            If the optimizer is not bound to a model.
        ValueError
            If the class or the schedules of the optimizer, or the parameters of the model, differ
            from those in the state. The optimizer is then unchanged.
        """
        own, backend = self.description(), self._prepared_state().backend
        same = all(own[key] == state[key] for key in ("kind", "schedules"))
        same = same and self._vectors.keys() == state["vectors"].keys()
        if not same or own["numbers"].keys() != state["numbers"].keys():
            schedules = ", ".join(state["schedules"])
            scheduled = f"schedules for {schedules}" if schedules else "no schedules"
            raise ValueError(
                f"expected the same optimizer as before ({state['kind']!r} with the vectors "
                f"{list(state['vectors'])} and {scheduled}), found {self!r}"
            )
        moved = {
            name: backend.asarray(state["vectors"][name], dtype=vector.dtype)
            for name, vector in self._vectors.items()
        }
        for name, vector in self._vectors.items():
            if (found := moved[name].shape) != vector.shape:
                raise ValueError(f"{name}: expected shape {vector.shape}, found {found}")
        steps, frozen = state["steps"], list(state["frozen_steps"])
        count = len(self._parameters)
        if len(frozen) != count or not all(0 <= n <= steps for n in frozen):
            raise ValueError(
                f"expected a number of frozen steps from 0 to {steps} for each of {count} "
                f"parameters, found {frozen}"
            )
        self.copy()._set(state["numbers"])  # check the numbers before changing anything
        self._set(state["numbers"])
        self.counts = steps, frozen
        for name, vector in self._vectors.items():
            vector[...] = moved[name]

    def __getstate__(self) -> dict[str, Any]:
        # Omit the compiled rule, and copy the state vectors to host memory.
        hidden = {**vars(self), "_update": None, "_gradient": None, "_prepared": None}
        if self._model_state is not None:
            to_numpy = self._model_state.backend.to_numpy
            hidden["_vectors"] = {name: to_numpy(v).copy() for name, v in self._vectors.items()}
        return hidden

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._model_state is not None:
            self._vectors = {
                name: self._model_state._vector(v) for name, v in self._vectors.items()
            }
