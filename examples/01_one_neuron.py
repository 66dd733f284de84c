"""1. One neuron
=============

One neuron, y = m x + b, learns by gradient descent, from one number per step.

If the neuron sees the same number five times, it soon gets that number right. Other numbers may
still be wrong. For y = 3 x, a neuron without b needs only one number, because m = y / x. If both m
and b are unknown, every line through one point fits. Gradient descent then stops at the m and b
nearest to the initial values. The line passes through the point with the star and is wrong
elsewhere. If the neuron sees a new number at each step, only one line fits all numbers, and the
error falls below 1 % for every x > 0.

Each step is computed twice: with `cr.SGD`, and by hand. The squared error (m x + b - y)² has the
derivative 2 (m x + b - y) x with respect to m, and 2 (m x + b - y) with respect to b.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import save_or_show
from chainrule.plotting.figures import COLORS

options = arguments(__doc__, lr=0.08, steps=60, seed=0)
others = np.linspace(0.1, 10, 100)  # test numbers


def train(true_m, true_b, numbers, *, bias=True):
    """Train on these numbers. Return m, b, and each step's largest error on `others`."""
    neuron = cr.Linear(1, 1, bias=bias, init=cr.initializers.zeros())
    model = cr.Sequential(neuron, backend=options.backend, dtype="float64")
    loss, optimizer = cr.MSELoss(), cr.SGD(lr=options.lr).bind(model)
    m, b, differences, errors = 0.0, 0.0, [], []
    for number in numbers:
        x = model.backend.asarray([[number]])
        y = true_m * x + true_b
        output, back_through_model = model.forward(x, training=True)
        value, back_through_loss = loss(output, y)
        back_through_model(back_through_loss())
        optimizer.step()

        error = (m * number + b) - (true_m * number + true_b)
        m = m - options.lr * 2 * error * number
        b = b - options.lr * 2 * error if bias else 0.0

        sgd_m = float(neuron.weight.value[0, 0])
        sgd_b = float(neuron.bias.value[0]) if bias else 0.0
        differences.append(max(abs(sgd_m - m), abs(sgd_b - b)))
        truth = true_m * others + true_b
        errors.append(100 * np.max(np.abs(sgd_m * others + sgd_b - truth) / truth))
    print(f"  m {sgd_m:.3f}  b {sgd_b:.3f}  squared error on the last number {float(value):.1e}")
    print(f"  largest error on others {errors[-1]:.3f} %")
    print(f"  largest difference between SGD and by hand {max(differences):.1e}")
    return sgd_m, sgd_b, errors


same, new = [2.0] * 5, np.random.default_rng(options.seed).uniform(-3, 3, options.steps)
print("y = 3 x, the same number five times, a neuron without b:")
only_m = train(3, 0, same, bias=False)
print("y = 3 x, the same number five times, m and b to find:")
m_and_b = train(3, 0, same)
print("y = 3 x + 5, the same number five times, m and b to find:")
repeated = train(3, 5, same)
print(f"y = 3 x + 5, a new number at each of {options.steps} steps, m and b to find:")
varied = train(3, 5, new)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
x = np.array([0, 10])
for ax, b, run, name, color, other in (
    (left, 0, only_m, "same number, no b", COLORS[2], m_and_b),
    (middle, 5, varied, "new numbers", COLORS[0], repeated),
):
    ax.plot(x, 3 * x + b, color="0.8", linewidth=7, label="truth")
    ax.plot(x, run[0] * x + run[1], color=color, label=name)
    ax.plot(x, other[0] * x + other[1], "--", color=COLORS[1], label="same number, m and b")
    ax.plot(2, 6 + b, "*", color="black", markersize=12, label="the same number")
    ax.set(title=f"y = 3 x + {b}" if b else "y = 3 x", xlabel="x", ylabel="y")
first, all_steps = range(1, 6), range(1, options.steps + 1)
right.semilogy(first, only_m[2], "o-", color=COLORS[2], label="y = 3 x, same number, no b")
right.semilogy(first, repeated[2], "s--", color=COLORS[1], label="y = 3 x + 5, same number")
right.semilogy(all_steps, varied[2], color=COLORS[0], label="y = 3 x + 5, new numbers")
right.axhline(1, color="black", linestyle=":", label="1 %")
right.set(title="Largest error on other numbers", xlabel="step", ylabel="error (%)")
right.set_ylim(1e-3, 1e4)
for ax in (left, middle, right):
    ax.legend(frameon=False, fontsize="small", loc="upper right" if ax is right else "upper left")
save_or_show(figure, options.plot)
