"""Base class of all optimizers: learning rates, penalties, clipping and the step itself.

A step applies a function, the rule of the optimizer, to the flat vectors of a model. So the number
of layers does not matter. The backend makes the rule fast (see `Backend.elementwise`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from array_api_compat import array_namespace

from ..backends import Backend
from ..checks import Checked, at_least_zero, expect_arguments, flag, optional
from ..errors import DivergenceError, shown, what_is_meant
from ..formulas import sign
from ..layers import Layer
from ..parameter import ModelState, Parameter
from ..types import Array, LearningRates, Rule
from .gradient import Gradient
from .rates import checked_rates, rate_of_each

Stretch = tuple[slice, bool, str, int]
"""A slice of the flat vectors, and three properties that all parameters in the slice share: whether
penalties apply, the name of the learning rate, and the number of steps in which the parameters were
frozen.
"""


def _rate_of(layer: str) -> str:
    """Return the name of a layer's learning rate among the options."""
    return f"lr[{layer!r}]"


def _are_parameters(thing: Any) -> bool:
    """Return whether `thing` is a model, a list of parameters, or an iterator as in PyTorch."""
    if isinstance(thing, list | tuple):
        return any(isinstance(item, Parameter) for item in thing)
    return isinstance(thing, Layer | Iterator)


class Optimizer:
    """Base class of all optimizers: learning rates, penalties, clipping and the step itself.

    Parameters
    ----------
    lr : float, callable or dict
        The learning rate, at least 0: a number, or a function of the step number such as
        `schedules.cosine`. A dict sets the rate of each layer: ``{"0": 1e-4, "": 1e-3}`` means 1e-4
        for the layer ``"0"`` and 1e-3 for all others. A key applies to all parameters whose names
        in `Layer.named_parameters` begin with this key. If several keys match, the longest one is
        used.
    weight_decay : float, optional
        Factor of the L2 penalty ``weight_decay / 2 * sum(value^2)``, which adds
        ``weight_decay * value`` to the gradient. (`AdamW` instead shrinks the values.)
    l1 : float, optional
        Factor of the L1 penalty ``l1 * sum(|value|)``, which adds ``l1 * sign(value)`` to the
        gradient, even in `AdamW` (R. Tibshirani, "Regression shrinkage and selection via the
        lasso", 1996).
    decay_biases : bool, optional
        Whether both penalties also apply to parameters that are exempt by default, such as biases.
    clip_norm : float, optional
        Maximum Euclidean norm of the gradient of the whole model. A longer gradient is scaled down
        to this norm (R. Pascanu et al., "On the difficulty of training recurrent neural networks",
        2013). The gradients of penalties are added after the clipping, as in PyTorch.

    Notes
    -----
    Penalties change only the gradient. The reported loss does not include penalties.

    While a parameter is frozen, its value, its state vectors and its step count do not change.

    To write a custom optimizer, name its state vectors in `slots` and define `rule` and `scalars`.
    """

    slots: tuple[str, ...] = ()
    """The names of the state vectors. All state vectors start at zero."""

    decoupled_decay: ClassVar[bool] = False

    squares_gradients: ClassVar[bool] = False
    """Whether the rule squares gradients. If so, very large gradients are clipped."""

    lr = Checked(checked_rates)
    weight_decay = Checked(at_least_zero)
    l1 = Checked(at_least_zero)
    decay_biases = Checked(flag)
    clip_norm = Checked(optional(at_least_zero))

    def __init__(
        self,
        lr: LearningRates,
        *,
        weight_decay: float = 0.0,
        l1: float = 0.0,
        decay_biases: bool = False,
        clip_norm: float | None = None,
    ) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.l1 = l1
        self.decay_biases = decay_biases
        self.clip_norm = clip_norm
        self._unbind()

    def __new__(cls, *args: Any, **options: Any) -> Self:
        if args and _are_parameters(args[0]):
            raise TypeError(
                f"{cls.__name__}: expected a learning rate, found {shown(args[0])}: write "
                f"{cls.__name__}(lr=1e-3); a Trainer or optimizer.bind(model) adds the parameters"
            )
        expect_arguments(cls, options)
        return super().__new__(cls)

    def _unbind(self) -> None:
        """Remove the model and set the number of steps to 0."""
        self.steps = 0
        self.moving = False  # whether a step has begun to change the parameters
        self._model_state: ModelState | None = None
        self._vectors: dict[str, Array] = {}
        self._parameters: dict[str, Parameter] = {}  # in the order of the flat vectors
        self._frozen_steps: list[int] = []  # a count for each parameter
        self._parts: list[Stretch] = []  # the result of `stretches`
        self._made_for: Any = None  # the parameters' flags for which `_parts` is valid
        self._prepared: Any = None  # the `structure` for which `_update` is valid

    def rule(self, xp: Any) -> Rule:
        """Return ``rule(value, *slots, grad, *scalars) -> (value, *slots)``.

        Always return the same function, because `Backend.elementwise` compiles every new function.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        """Return the numbers that the rule takes at this step. Steps are counted from 1 here."""
        return (lr,)

    def bind(self, model: Layer) -> Self:
        """Prepare to train `model`, and create the state vectors.

        Returns
        -------
        Optimizer
            The optimizer itself.

        Raises
        ------
        ValueError
            If the optimizer is bound to another model, or if `model` is part of another model. For
            a dict of learning rates, also if a key matches no parameter, or if a parameter has no
            rate.
        RuntimeError
            If a layer was added to the model after its weights were drawn.
        TypeError
            If `model` is not a layer.
        """
        if not isinstance(model, Layer):
            raise TypeError(f"expected a model, found {shown(model)}{what_is_meant(model)}")
        if model._parent is not None:
            raise ValueError(
                f"expected a whole model, found a part of one, {model._label()}: train "
                "the whole model with its other layers frozen, or an independent copy()"
            )
        state = model.state
        if len(model.parameters()) != len(state.parameters):
            raise RuntimeError("a layer was added to this model after its weights were drawn")
        if self._model_state is state:
            return self
        if self._model_state is not None:
            raise ValueError(f"{self!r} already trains another model: make a new optimizer")
        names = {id(p): name for name, p in model.named_parameters().items()}
        self._parameters = {names[id(p)]: p for p in state.parameters}
        self._prepare(state)
        self._model_state, self._frozen_steps = state, [0] * len(self._parameters)
        return self

    def _prepare(self, state: ModelState) -> None:
        """Create the objects that depend on the options: the state vectors and the update."""
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
        """Return the model's state; first update everything that depends on changed options."""
        if self._model_state is None:
            raise RuntimeError(f"{self!r} has no model: call optimizer.bind(model) first")
        if self._prepared != self.structure:
            self._prepare(self._model_state)
        return self._model_state

    def copy(self) -> Self:
        """Return an unbound copy at step 0, with the same hyperparameters and schedules."""
        twin = type(self).__new__(type(self))
        of_model = ("_model_state", "_parameters", "_vectors", "_update", "_gradient")
        kept = {name: value for name, value in vars(self).items() if name not in of_model}
        twin.__dict__.update(copy.deepcopy(kept))
        twin._unbind()
        return twin

    def _options(self) -> dict[str, Any]:
        """Return the hyperparameters: numbers, flags and schedules."""
        return {
            k: v
            for k, v in vars(self).items()
            if k[0] != "_" and k not in ("steps", "moving", "slots")
        }

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
            (Gradients on a device are not checked, because the check would wait for the device.
            Instead, the next loss is NaN.)
        """
        state = self._prepared_state()
        stretches = self._stretches()
        numbers = state.inputs.numbers(state, self._numbers(stretches, self.steps))
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

    def count_step(self) -> None:
        """Count a step for all parameters that are not frozen."""
        self.steps += 1
        frozen = [not p.trainable for p in self._parameters.values()]
        if True in frozen:
            pairs = zip(self._frozen_steps, frozen, strict=True)
            self._frozen_steps = [count + also for count, also in pairs]

    @property
    def counts(self) -> tuple[int, list[int]]:
        """The number of steps, and the number of steps in which each parameter was frozen."""
        return self.steps, self._frozen_steps

    @counts.setter
    def counts(self, counts: tuple[int, list[int]]) -> None:
        self.steps, self._frozen_steps = counts
        self._made_for = None

    def stretches(self) -> list[Stretch]:
        """Split the flat vectors into slices of trained parameters with the same properties."""
        self._prepared_state()
        return self._stretches()

    def _stretches(self) -> list[Stretch]:
        parameters = [(p.trainable, p.decay) for p in self._parameters.values()]
        if parameters != self._made_for:
            self._parts, self._made_for = self._make_stretches(), parameters
        return self._parts

    def _make_stretches(self) -> list[Stretch]:
        found: list[Stretch] = []
        each = zip(self._parameters.values(), self._rate_of, self._frozen_steps, strict=True)
        for p, rate, frozen in each:
            if not p.trainable:
                continue
            part, common = p._part, (self._is_penalized(p), rate, frozen)
            if found and found[-1][0].stop == part.start and found[-1][1:] == common:
                part = slice(found.pop()[0].start, part.stop)
            found.append((part, *common))
        return found

    def numbers(self, ahead: int = 0) -> list[float]:
        """Return the numbers of the next step, or of the step that comes `ahead` steps later.

        For each stretch, the list holds the `scalars`, `l1` and the decay. The decay is
        `weight_decay`, or with decoupled decay the factor by which the value is multiplied. The
        last number of the list is `clip_norm`, or 0.
        """
        return self._numbers(self.stretches(), self.steps + ahead)

    def rates(self, step: int) -> dict[str, float]:
        """Return the learning rates at a step, by layer name. Steps are counted from 0 here."""
        rates = self.lr if isinstance(self.lr, dict) else {"": self.lr}
        return {
            name: at_least_zero("lr", lr(step) if callable(lr) else lr)
            for name, lr in rates.items()
        }

    def _numbers(self, stretches: list[Stretch], step: int) -> list[float]:
        at_step = self.rates(step)
        numbers: list[float] = []
        for _, _, rate, frozen in stretches:
            lr = at_step[rate]
            decay = 1.0 - lr * self.weight_decay if self.decoupled_decay else self.weight_decay
            scalars = self.scalars(lr, step + 1 - frozen)
            if not isinstance(scalars, tuple):
                raise TypeError(f"{self!r}: expected a tuple of scalars, found {shown(scalars)}")
            numbers += *scalars, self.l1, decay
        return [*numbers, self.clip_norm or 0.0]

    @property
    def structure(self) -> tuple[Any, ...]:
        """The options that determine which operations a step performs."""
        penalties = self.l1 > 0.0, self.weight_decay > 0.0, self.decay_biases
        rates = tuple(self.lr) if isinstance(self.lr, dict) else ()
        return type(self), self.slots, penalties, self.clip_norm is None, rates

    def _is_penalized(self, parameter: Parameter) -> bool:
        penalty = self.weight_decay > 0.0 or self.l1 > 0.0
        return penalty and (parameter.decay or self.decay_biases)

    def _with_penalties(
        self, backend: Backend, grad: Array, value: Array, l1: Array, decay: Array
    ) -> Array:
        """Add the gradients of the penalties to `grad`; decoupled decay changes `value` instead."""
        if self.l1 > 0.0:
            grad = grad + l1 * backend.kernel(sign)(value)
        if self.decoupled_decay:
            value *= decay  # `decay` is 1 - lr * weight_decay
        elif self.weight_decay > 0.0:
            grad = grad + decay * value  # `decay` is weight_decay
        return grad

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
        counts = {"steps": self.steps, "frozen_steps": self._frozen_steps}
        return {**self.description(), **counts, "vectors": vectors}

    def description(self) -> dict[str, Any]:
        """Return the class name, the numbers and the names of the schedules, for JSON."""
        options = self._options()
        if isinstance(self.lr, dict):
            del options["lr"]
            options.update((_rate_of(layer), rate) for layer, rate in self.lr.items())
        return {
            "kind": type(self).__name__,
            "numbers": {name: value for name, value in options.items() if not callable(value)},
            "schedules": [name for name, value in options.items() if callable(value)],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a result of `state`. Schedules are not restored.

        Parameters
        ----------
        state : dict
            A result of the method `state`. The vectors may be arrays of any library.

        Raises
        ------
        RuntimeError
            If the optimizer is not bound to a model.
        ValueError
            If the state belongs to an optimizer of another class, to an optimizer with other
            schedules, or to a model of another size. The optimizer is then unchanged.
        """
        own, backend = self.description(), self._prepared_state().backend
        same = all(own[key] == state[key] for key in ("kind", "schedules"))
        same = same and self._vectors.keys() == state["vectors"].keys()
        if not same or own["numbers"].keys() != state["numbers"].keys():
            schedules = ", ".join(state["schedules"])
            scheduled = f"schedules for {schedules}" if schedules else "no schedules"
            raise ValueError(
                f"expected the same optimizer as before, {state['kind']!r} with the vectors "
                f"{list(state['vectors'])} and {scheduled}, found {self!r}"
            )
        for name, vector in self._vectors.items():
            if (found := state["vectors"][name].shape) != vector.shape:
                raise ValueError(f"{name}: expected shape {vector.shape}, found {found}")
        moved = {
            name: backend.asarray(state["vectors"][name], dtype=vector.dtype)
            for name, vector in self._vectors.items()
        }
        steps, frozen = state["steps"], list(state["frozen_steps"])
        count = len(self._parameters)
        if len(frozen) != count or not all(0 <= n <= steps for n in frozen):
            raise ValueError(
                f"expected a number of frozen steps from 0 to {steps} for each of {count} "
                f"parameters, found {frozen}"
            )
        numbers = {
            name: tuple(number) if isinstance(number, list) else number
            for name, number in state["numbers"].items()
        }
        if isinstance(self.lr, dict):
            numbers["lr"] = {
                layer: numbers.pop(_rate_of(layer), rate) for layer, rate in self.lr.items()
            }
        checked = self.copy()
        for one in (checked, self):  # an invalid number raises an error in the copy first
            for name, number in numbers.items():
                setattr(one, name, number)
        self.counts = steps, frozen
        for name, vector in self._vectors.items():
            vector[...] = moved[name]

    def __getstate__(self) -> dict[str, Any]:
        # Omit the compiled rule, and copy the state vectors to host memory.
        hidden = {k: v for k, v in vars(self).items() if k not in ("_update", "_gradient")}
        hidden["_prepared"] = None
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

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"{type(self).__name__}({options})"
