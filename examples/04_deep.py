"""4. Deep
=======

Models with any number of layers, any widths and any activations, and why width matters.

There are four inputs, and the class is 1 if an odd number of inputs is negative. Every point
appears with all 16 combinations of signs. The left plot shows the costs. The wide networks with
activations learn the task. Networks whose layers have one neuron do not, and neither does a wide
network without activations, because it is just one linear map. The cost of a network that does not
learn stays near ln 2, the cost of random guessing.

Why width 1 is not enough: the first layer passes on a single number, t = w x + b. The output can
only rise with t or only fall with t, so the network answers 1 only on one side of some threshold
for t. Now flip the signs of two inputs. The points (+ +) and (- -) belong to one class, and the
points (+ -) and (- +) belong to the other. The values of t have the same sum in both classes, so no
threshold separates the classes. At least one of the four points is misclassified, so the accuracy
is at most 75 %.
"""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import plot_sweep, save_or_show
from chainrule.plotting.figures import COLORS, MARKERS

options = arguments(__doc__, iterations=2000, lr=0.1, seed=0)
rng = np.random.default_rng(options.seed)
signs = np.array(list(product([1, -1], repeat=4)))


def draw(points):
    """Return points with every combination of signs, and how many inputs of each are negative."""
    x = rng.uniform(0.5, 1.5, size=(points, 1, 4)) * signs
    return x.reshape(-1, 4), np.sum(x < 0, axis=2).reshape(-1, 1)


def l_layer_model(x, y, widths, activation):
    """Train on all points at once, and return the model and the cost of each iteration."""
    model = cr.mlp(
        widths, activation=activation, output="sigmoid", backend=options.backend, seed=options.seed
    )
    trainer = cr.Trainer(model, loss=cr.BCELoss(), optimizer=cr.SGD(lr=options.lr))
    history = trainer.fit(x, y, epochs=options.iterations, batch_size=len(x), verbose=0)
    return model, history.step_losses


(x_train, negative_train), (x_test, negative) = draw(20), draw(20)
y_train, y_test = negative_train % 2, negative % 2
networks = [
    ([4, 20, 7, 5, 1], "relu"),
    ([4, 20, 7, 5, 1], ["tanh", "relu", "sigmoid"]),
    ([4, 20, 7, 5, 1], "none"),
    ([4, 1, 1, 1, 1], "relu"),
    ([4, 1, 1, 1, 1], "sigmoid"),
    ([4, 1, 1, 1, 1], "tanh"),
]
rows, outputs = [], []
for widths, activation in networks:
    model, costs = l_layer_model(x_train, y_train, widths, activation)
    outputs.append(model.predict(x_test))
    accuracy = np.mean((outputs[-1] > 0.5) == y_test)
    after = activation if isinstance(activation, str) else ", ".join(activation)
    name = f"{'-'.join(map(str, widths))}, {after}"
    some = " ".join(f"{cost:.3g}" for cost in [*costs[::500], costs[-1]])
    print(f"{name}: cost {some}, {accuracy:.1%} of the test points right")
    rows += [
        {"iteration": k, "cost": costs[k], "widths": name}
        for k in range(0, options.iterations, 100)
    ]

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
plot_sweep(rows, x="iteration", y="cost", by="widths", ax=left)
left.axhline(np.log(2), color="black", linestyle=":")
left.text(options.iterations, 0.74, "ln 2", ha="right")
left.set(title="Cost of each iteration", ylim=(-0.05, 2))
for i, (k, name) in enumerate([(0, "4-20-7-5-1, relu"), (5, "4-1-1-1-1, tanh")]):
    shifted = negative + 0.3 * i - 0.15 + rng.uniform(-0.1, 0.1, size=negative.shape)
    right.plot(shifted, outputs[k], MARKERS[i], color=COLORS[i], markersize=3, label=name)
right.set(title="Outputs for the test points", xlabel="negative inputs", ylabel="output")
right.set(ylim=(-0.05, 1.35), yticks=[0, 0.5, 1])
right.legend(frameon=False, loc="upper right", fontsize="small")
save_or_show(figure, options.plot)
