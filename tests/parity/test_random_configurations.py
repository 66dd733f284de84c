"""Compare training runs of random networks, losses and optimizers with PyTorch."""

from functools import partial

import numpy as np
import pytest
import torch

import chainrule as cr

nn = torch.nn
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other

STEPS, BOUND = 5, 1e-9

ACTIVATIONS = [
    (cr.ReLU, nn.ReLU),
    (partial(cr.LeakyReLU, 0.1), partial(nn.LeakyReLU, 0.1)),
    (cr.ReLU6, nn.ReLU6),
    (partial(cr.ELU, 0.7), partial(nn.ELU, 0.7)),
    (cr.PReLU, nn.PReLU),
    (cr.GELU, nn.GELU),
    (partial(cr.GELU, "tanh"), partial(nn.GELU, approximate="tanh")),
    (cr.SiLU, nn.SiLU),
    (cr.Sigmoid, nn.Sigmoid),
    (cr.Tanh, nn.Tanh),
    (cr.Softplus, nn.Softplus),
    (cr.Softmax, partial(nn.Softmax, dim=-1)),
    (cr.LogSoftmax, partial(nn.LogSoftmax, dim=-1)),
    (cr.Identity, nn.Identity),
]
NORMS = [(cr.BatchNorm, nn.BatchNorm1d), (cr.LayerNorm, nn.LayerNorm)]


def flip(rng):
    return bool(rng.integers(2))


def magnitude(rng, least, most):
    """Draw a number uniformly on a logarithmic scale."""
    return float(10 ** rng.uniform(least, most))


def choice(rng, things):
    return things[rng.integers(len(things))]


def draw_layers(rng, features, outputs):
    """Return pairs of layers. A pair is the same layer in chainrule and in PyTorch."""
    pairs = []
    for width in rng.integers(1, 17, size=rng.integers(1, 5)):
        width, bias = int(width), flip(rng)
        pairs.append((cr.Linear(features, width, bias), nn.Linear(features, width, bias)))
        if flip(rng):
            ours, theirs = choice(rng, NORMS)
            options = {"eps": magnitude(rng, -5, -2)}
            if ours is cr.BatchNorm:
                options["momentum"] = float(rng.random())
            pairs.append((ours(width, **options), theirs(width, **options)))
        ours, theirs = choice(rng, ACTIVATIONS)
        pairs.append((ours(), theirs()))
        if flip(rng):
            pairs.append((cr.Dropout(0.0), nn.Dropout(0.0)))
        features = width
    pairs.append((cr.Linear(features, outputs), nn.Linear(features, outputs)))
    return pairs


def draw_loss(rng, samples, outputs):
    """Return the last layers, the loss in both libraries, and a function that draws targets."""
    name = choice(rng, ["mse", "l1", "huber", "bce", "bce of logits", "kl", "labels", "shares"])
    reduction, before, options = choice(rng, ["mean", "sum"]), [], {}
    weight = rng.uniform(0.1, 3.0, outputs) if flip(rng) else None
    if name in ("labels", "shares"):
        smoothing = options["label_smoothing"] = choice(rng, [0.0, float(rng.random())])
        if name == "shares" and reduction == "mean":
            weight = None  # for probabilities, PyTorch's mean divides by the batch size
        theirs = nn.CrossEntropyLoss(
            weight=tensor(weight), label_smoothing=smoothing, reduction=reduction
        )
        ours = cr.CrossEntropyLoss(weight=plain(weight), reduction=reduction, **options)
    else:
        if name == "huber":
            options["delta"] = magnitude(rng, -1, 1)
        if name == "bce of logits" and flip(rng):
            options["pos_weight"] = rng.uniform(0.1, 3.0, outputs).tolist()
        ours, theirs = {
            "mse": (cr.MSELoss, nn.MSELoss),
            "l1": (cr.L1Loss, nn.L1Loss),
            "huber": (cr.HuberLoss, nn.HuberLoss),
            "bce": (cr.BCELoss, nn.BCELoss),
            "bce of logits": (cr.BCEWithLogitsLoss, nn.BCEWithLogitsLoss),
            "kl": (cr.KLDivLoss, nn.KLDivLoss),
        }[name]
        ours = ours(weight=plain(weight), reduction=reduction, **options)
        if "pos_weight" in options:
            options["pos_weight"] = torch.tensor(options["pos_weight"], dtype=torch.float64)
        theirs = reduced(theirs(reduction="none", **options), tensor(weight), reduction)
        before = {"bce": [(cr.Sigmoid(), nn.Sigmoid())],
                  "kl": [(cr.LogSoftmax(), nn.LogSoftmax(dim=-1))]}.get(name, [])  # fmt: skip

    def targets():
        if name == "labels":
            return rng.integers(0, outputs, samples)
        if name in ("kl", "shares"):
            return rng.dirichlet(np.ones(outputs), samples)
        if name.startswith("bce"):
            return rng.integers(0, 2, (samples, outputs)).astype(float)
        return rng.normal(size=(samples, outputs))

    return before, ours, theirs, targets


def reduced(loss, weight, reduction):
    """Return PyTorch's loss with output weights, reduced to one number."""

    def value(y, target):
        values = loss(y, target) if weight is None else weight * loss(y, target)
        return values.mean() if reduction == "mean" else values.sum()

    return value


def tensor(weight):
    return None if weight is None else torch.tensor(weight)


def plain(weight):
    return None if weight is None else weight.tolist()


def draw_optimizer(rng):
    """Return an optimizer, and a function that makes PyTorch's optimizer for given parameters."""
    # A small eps would turn a rounding error in a gradient of 0 into a large step. A large rate
    # could make training diverge, which amplifies rounding errors.
    lr, eps = magnitude(rng, -4, -2.5), magnitude(rng, -4, -2)
    decay = choice(rng, [0.0, magnitude(rng, -4, -1)])
    name = choice(rng, ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW"])
    options = {"eps": eps}
    if name == "SGD":
        momentum = choice(rng, [0.0, float(rng.uniform(0.1, 0.95))])
        options = {"momentum": momentum, "nesterov": momentum > 0.0 and flip(rng)}
    elif name == "RMSprop":
        options["alpha"] = float(rng.uniform(0.5, 0.999))
    elif name == "Adagrad":
        options["initial_accumulator_value"] = choice(rng, [0.0, float(rng.random())])
    else:
        options["betas"] = (float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.9, 0.999)))
    clip = choice(rng, [None, magnitude(rng, -2, 1)])
    ours = getattr(cr, name)(lr, weight_decay=decay, decay_biases=True, clip_norm=clip, **options)
    theirs = partial(getattr(torch.optim, name), lr=lr, weight_decay=decay, **options)
    return ours, theirs, clip


@pytest.mark.filterwarnings("ignore:reduction.*:UserWarning")  # PyTorch advises batchmean
def test_a_training_run(configuration):
    rng = np.random.default_rng([20, configuration])
    samples, features, outputs = (int(rng.integers(*ends)) for ends in ((2, 33), (1, 9), (2, 6)))
    before, loss, loss_torch, targets = draw_loss(rng, samples, outputs)
    pairs = draw_layers(rng, features, outputs) + before
    optimizer, optimizer_torch, clip = draw_optimizer(rng)

    layers, layers_torch = zip(*pairs, strict=True)
    model = cr.Sequential(*layers, dtype="float64", seed=configuration)
    for parameter in model.parameters():
        if len(parameter.shape) == 1:
            # Keep biases away from 0, where a rounding error decides whether a rectifier is active.
            parameter.value[...] += rng.normal(0.0, 0.5, parameter.shape)
    net = nn.Sequential(*layers_torch).double()
    weights = {name: torch.tensor(p.value) for name, p in model.named_parameters().items()}
    net.load_state_dict(weights, strict=False)  # both libraries start with the same statistics
    optimizer.bind(model)
    optimizer_torch = optimizer_torch(net.parameters())
    print(model, loss, optimizer, f"{samples} samples", sep="\n")

    for step in range(STEPS):
        x, y = rng.normal(size=(samples, features)), targets()
        out, back_through_model = model.forward(x, training=True)
        value, back_through_loss = loss(out, y)
        back_through_model(back_through_loss())
        optimizer.step()

        value_torch = loss_torch(net(torch.tensor(x)), torch.tensor(y))
        optimizer_torch.zero_grad()
        value_torch.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer_torch.step()

        assert float(value) == pytest.approx(value_torch.item(), rel=BOUND), f"step {step}"
        theirs = net.state_dict()
        for name, part in {**model.named_parameters(), **model.named_buffers()}.items():
            expected = theirs[name].numpy()
            np.testing.assert_allclose(
                part.value, expected, rtol=BOUND, atol=BOUND, err_msg=f"{name} at step {step}"
            )
