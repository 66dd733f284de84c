"""Natural guesses, such as names from other libraries, raise errors that say what to write."""

import re

import numpy as np
import pytest

import chainrule as cr

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.arange(8) % 3


def trainer(**options):
    options = {"loss": cr.CrossEntropyLoss(), "optimizer": cr.Adam(), **options}
    return cr.Trainer(cr.mlp([4, 3]), **options)


ARGUMENTS = {
    "Adam has no argument 'learning_rate': did you mean 'lr'?": lambda: cr.Adam(learning_rate=0.1),
    "SGD has no argument 'learning_rate': did you mean 'lr'?": lambda: cr.SGD(learning_rate=0.1),
    "Adam has no argument 'beta_1': did you mean 'betas'?": lambda: cr.Adam(beta_1=0.9),
    "AdamW has no argument 'epsilon': did you mean 'eps'?": lambda: cr.AdamW(epsilon=1e-7),
    "RMSprop has no argument 'rho': did you mean 'alpha'?": lambda: cr.RMSprop(rho=0.9),
    "SGD has no argument 'momentun': did you mean 'momentum'?": lambda: cr.SGD(0.1, momentun=0.9),
    "SGD has no argument 'dampening': expected one of lr, momentum, nesterov, weight_decay, l1, "
    "decay_biases, clip_norm": lambda: cr.SGD(0.1, dampening=0.9),
    "Linear has no argument 'use_bias': did you mean 'bias'?": lambda: cr.Linear(
        2, 2, use_bias=False
    ),
    "Dropout has no argument 'rate': did you mean 'p'?": lambda: cr.Dropout(rate=0.5),
    "LSTM: too many arguments without a name: expected at most 3 (input_size, hidden_size, "
    "num_layers), found 4; pass others by name: bias=, forget_bias=, bidirectional=, dropout=, "
    "output=, return_state=, init=, bias_init=": lambda: cr.LSTM(2, 2, 1, True),
    "SGD: too many arguments without a name: expected at most 1 (lr), found 2; pass others by "
    "name: momentum=, nesterov=, weight_decay=, l1=, decay_biases=, clip_norm=": lambda: cr.SGD(
        0.1, 0.9
    ),
    "ReLU: too many arguments without a name: expected none, found 1": lambda: cr.ReLU(4),
    "ReLU has no argument 'inplace': it takes none": lambda: cr.ReLU(inplace=True),
    "Trainer has no argument 'learning_rate': pass the learning rate to the optimizer, as in "
    "cr.Adam(lr=1e-3)": lambda: trainer(learning_rate=0.1),
    "Trainer has no argument 'criterion': did you mean 'loss'?": lambda: trainer(criterion=0),
    "Trainer has no argument 'epochs': pass it to fit": lambda: trainer(epochs=3),
    "fit has no argument 'metrics': pass it to Trainer": lambda: trainer().fit(X, Y, metrics=[]),
    "fit has no argument 'n_epochs': did you mean 'epochs'?": lambda: trainer().fit(
        X, Y, n_epochs=1
    ),
    "expected metrics that are functions, found 'accuracy': write cr.metrics.accuracy": lambda: (
        trainer(metrics=["accuracy"])
    ),
    "expected metrics that are functions, found 'f-score': see cr.metrics": lambda: trainer(
        metrics={"f": "f-score"}
    ),
}


@pytest.mark.parametrize(("message", "use"), ARGUMENTS.items(), ids=range(len(ARGUMENTS)))
def test_names_from_other_libraries(message, use):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        use()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BatchNorm1d", "BatchNorm"),
        ("Sequental", "Sequential"),
        ("CrossEntropy", "CrossEntropyLoss"),
    ],
)
def test_a_name_that_is_nearly_right(name, meant):
    message = f"^module 'chainrule' has no attribute '{name}': did you mean '{meant}'\\?$"
    with pytest.raises(AttributeError, match=message):
        getattr(cr, name)
    assert not hasattr(cr, "__wrapped__")


def test_a_tuple_of_inputs():
    model = cr.mlp([4, 3])
    message = r"^layer '0', Linear\(4, 3\): expected one array as input, found \(<ndarray of shape"
    for several in (X, X), tuple(X):
        with pytest.raises(TypeError, match=message):
            model.predict(several)
    np.testing.assert_array_equal(model.predict(list(X)), model.predict(X))


def test_custom_classes_name_their_own_arguments():
    class Own(cr.SGD):
        def __init__(self, learning_rate, **others):
            super().__init__(learning_rate, momentum=others.pop("inertia"))

    class Same(cr.Layer):
        def __init__(self, **anything):
            self.anything = anything

    assert Own(learning_rate=0.1, inertia=0.5).momentum == 0.5
    assert Same(use_bias=True).anything == {"use_bias": True}


def test_loss_and_optimizer_by_position():
    history = cr.Trainer(cr.mlp([4, 3]), cr.CrossEntropyLoss(), cr.Adam()).fit(X, Y, verbose=0)
    assert history["loss"] == trainer().fit(X, Y, verbose=0)["loss"]
    with pytest.raises(TypeError, match="^expected a Loss such as .*, found Adam"):
        cr.Trainer(cr.mlp([4, 3]), cr.Adam(), cr.CrossEntropyLoss())
    with pytest.raises(TypeError, match="missing 2 required .* 'loss' and 'optimizer'"):
        cr.Trainer(cr.mlp([4, 3]))


@pytest.mark.parametrize("bound", [False, True])
def test_a_part_of_a_model_is_not_trained(bound):
    model = cr.Sequential(cr.Sequential(cr.Linear(4, 3), cr.ReLU()), cr.Linear(3, 3))
    if bound:
        model.bind()
    for use in (
        lambda: cr.Adam().bind(model[0]),
        lambda: cr.Trainer(model[0], cr.CrossEntropyLoss(), cr.Adam()),
    ):
        with pytest.raises(ValueError, match="^expected a whole model, found part of a model"):
            use()
    cr.Trainer(model[0].copy(), cr.CrossEntropyLoss(), cr.Adam()).fit(X, Y, verbose=0)


@pytest.mark.parametrize("bound", [False, True])
def test_an_array_in_the_place_of_a_parameter(bound):
    model = cr.Sequential(cr.Linear(4, 3), cr.BatchNorm(3))
    if bound:
        model.bind()
    before = model.predict(X) if bound else None
    for layer, name, value in (
        (model[0], "weight", np.ones((3, 4))),
        (model[0], "bias", [0.0] * 3),
        (model[1], "running_mean", np.zeros(3)),
    ):
        with pytest.raises(TypeError, match=rf"write layer\.{name}\.value\[\.\.\.\] = array$"):
            setattr(layer, name, value)
        with pytest.raises(AttributeError, match=r"write \.value\[\.\.\.\] = array$"):
            getattr(layer, name).value = value
    if bound:
        np.testing.assert_array_equal(model.predict(X), before)
        with pytest.raises(TypeError, match="expected bias to stay a Parameter, found None"):
            model[0].bias = None
    model[0].weight.value[...] = 1.0


def test_a_subclass_may_leave_out_or_replace_a_parameter():
    class Plain(cr.Linear):
        def __init__(self):
            super().__init__(4, 3)
            self.bias = None
            self.weight = cr.Parameter((3, 4))

    assert Plain().named_parameters().keys() == {"weight"}


SHAPES = {"()": (), "(1,)": (1,), "(9,)": (9,), "(3, 8)": (3, 8), "(24,)": (24,)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_per_sample_of_the_wrong_shape(shape):
    def metric(outputs, targets):
        return 0.5

    metric.per_sample = lambda xp, outputs, targets: xp.ones(shape)
    fitted = trainer(metrics=[metric])
    with pytest.raises(cr.ShapeError, match="^metric 'metric': .* one value for each of the 8 sam"):
        fitted.fit(X, Y, verbose=0)
    assert fitted.optimizer.steps == 0


def test_arrays_are_shown_by_their_shape():
    class Forgetful(cr.Loss):
        def formula(self, xp, y, target):
            return (y - target) ** 2

    for use, found in (
        (lambda: Forgetful()(X, X), "<ndarray of shape (8, 4)>"),
        (lambda: trainer().fit([X, Y], verbose=0), "<ndarray of shape (8, 4)>"),
        (lambda: trainer().fit((X, Y), verbose=0), "tuple: did you mean fit(x, y)?"),
        (lambda: trainer().fit((X.tolist(), Y.tolist())), "tuple: did you mean fit(x, y)?"),
        (lambda: cr.Adam(betas=X), "<ndarray of shape (8, 4)>"),
        (lambda: cr.Trainer(X, cr.MSELoss(), cr.Adam()), "<ndarray of shape (8, 4)>"),
        (lambda: cr.Linear(X, 3), "<ndarray of shape (8, 4)>"),
        (lambda: cr.Sequential([X]), "[<ndarray of shape (8, 4)>]: did you mean Sequential"),
        (lambda: trainer(metrics=[X]), "<ndarray of shape (8, 4)>"),
        (lambda: trainer().fit(X, Y, callbacks=[X]), "<ndarray of shape (8, 4)>"),
        (lambda: cr.CrossEntropyLoss(weight=-X), "<ndarray of shape (8, 4)>"),
        (lambda: cr.CrossEntropyLoss(weight=[-1.0] * 99), "[-1.0, -1.0, -1.0, -1.0, ...]"),
    ):
        with pytest.raises((TypeError, ValueError), match=re.escape(f"found {found}")) as caught:
            use()
        assert len(str(caught.value)) < 300


def test_the_repr_of_a_layer_or_loss_with_arrays_is_short(tmp_path):
    class Held(cr.Layer):
        def __init__(self, array, *, more=None):
            self.array = array

        def forward(self, x, *, training=False):
            return x + 0.0, lambda dy: dy

    class Weighted(cr.Loss):
        def __init__(self, by):
            super().__init__()
            self.by = by

    assert (
        repr(Held(X, more=X)) == "Held(<ndarray of shape (8, 4)>, more=<ndarray of shape (8, 4)>)"
    )
    assert repr(Weighted(X)) == "Weighted(reduction='mean', by=<ndarray of shape (8, 4)>)"
    with pytest.raises(TypeError, match=r"found <ndarray of shape \(8, 4\)>$") as caught:
        cr.Sequential(Held(X)).save(tmp_path / "model")
    assert len(str(caught.value)) < 250
