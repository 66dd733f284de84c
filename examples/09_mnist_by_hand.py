"""9. MNIST by hand
================

A 784-10-10-10 network, trained by full-batch gradient descent, first by hand and then with layers.

The rows of X are the images, and the one-hot rows of Y are their labels. Each step uses all images:

    Z1 = X W1ᵀ + b1     A1 = max(Z1, 0)     Z2 = A1 W2ᵀ + b2     A2 = max(Z2, 0)
    Z3 = A2 W3ᵀ + b3    P = softmax(Z3)     loss = mean of -log P at the label

and the chain rule gives the gradients, from the last layer back to the first. Compare the printed
numbers: up to rounding, the network made of layers has the same losses and the same final weights.
Layers only save you from writing the formulas. In the picture, misclassified images are framed.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import plot_predictions, save_or_show
from chainrule.plotting.figures import COLORS

options = arguments(__doc__, images=5000, iterations=500, lr=0.2, seed=0)


def data():
    """Load training and test images as rows of numbers from 0 to 1, and their labels."""
    try:
        (x_train, y_train), (x_test, y_test) = cr.datasets.mnist()
        x_train, y_train, largest = x_train[: options.images], y_train[: options.images], 255
    except cr.datasets.DownloadError as error:
        from sklearn.datasets import load_digits

        print(f"{error}\nTraining on scikit-learn's handwritten digits instead.\n")
        x, y = load_digits(return_X_y=True)
        x_train, y_train, x_test, y_test, largest = x[360:], y[360:], x[:360], y[:360], 16
    x_train, x_test = (x.reshape(len(x), -1) / largest for x in (x_train, x_test))
    return x_train, y_train, x_test, y_test


def forward(X, W1, b1, W2, b2, W3, b3):
    """Return the activations of the hidden layers, and the probabilities of the classes."""
    A1 = np.maximum(X @ W1.T + b1, 0)
    A2 = np.maximum(A1 @ W2.T + b2, 0)
    Z3 = A2 @ W3.T + b3
    # Subtract the largest number of each row, so that exp cannot overflow. P stays the same.
    E = np.exp(Z3 - Z3.max(axis=1, keepdims=True))
    return A1, A2, E / E.sum(axis=1, keepdims=True)


def gradients(X, Y, A1, A2, P, W2, W3):
    """Return the gradients of the loss with respect to W1, b1, W2, b2, W3 and b3."""
    dZ3 = (P - Y) / len(X)
    dW3, db3 = dZ3.T @ A2, dZ3.sum(axis=0)
    dZ2 = (dZ3 @ W3) * (A2 > 0)
    dW2, db2 = dZ2.T @ A1, dZ2.sum(axis=0)
    dZ1 = (dZ2 @ W2) * (A1 > 0)
    dW1, db1 = dZ1.T @ X, dZ1.sum(axis=0)
    return dW1, db1, dW2, db2, dW3, db3


x_train, y_train, x_test, y_test = data()
inputs, one_hot = x_train.shape[1], np.eye(10)[y_train]
rng = np.random.default_rng(options.seed)
shapes = (10, inputs), (10,), (10, 10), (10,), (10, 10), (10,)
start = [rng.uniform(-0.5, 0.5, shape) for shape in shapes]

weights, losses = start, []
for iteration in range(1, options.iterations + 1):
    A1, A2, P = forward(x_train, *weights)
    losses.append(-np.mean(np.log(P[np.arange(len(x_train)), y_train])))
    slopes = gradients(x_train, one_hot, A1, A2, P, weights[2], weights[4])
    weights = [w - options.lr * dw for w, dw in zip(weights, slopes, strict=True)]
    if iteration % 100 == 0:
        accuracy = np.mean(forward(x_test, *weights)[-1].argmax(axis=1) == y_test)
        print(f"iteration {iteration}: loss {losses[-1]:.4g}, test accuracy {accuracy:.4f}")

W1, b1, W2, b2, W3, b3 = map(cr.initializers.given, start)
model = cr.Sequential(
    cr.Linear(inputs, 10, init=W1, bias_init=b1), cr.ReLU(),
    cr.Linear(10, 10, init=W2, bias_init=b2), cr.ReLU(),
    cr.Linear(10, 10, init=W3, bias_init=b3),  # softmax is part of the loss
    backend=options.backend, dtype="float64",
)  # fmt: skip
trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(lr=options.lr))
history = trainer.fit(
    x_train, one_hot, epochs=options.iterations, batch_size=len(x_train), verbose=0
)

learned = [model.backend.to_numpy(p.value) for p in model.parameters()]
difference = max(np.max(np.abs(a - b)) for a, b in zip(learned, weights, strict=True))
print(f"largest difference of a loss: {np.max(np.abs(np.subtract(losses, history['loss']))):.1e}")
print(f"largest difference of a weight: {difference:.1e}")
print(f"test accuracy of the layers: {trainer.evaluate(x_test, y_test)['accuracy']:.4f}")
predicted = model.predict(x_test[:32]).argmax(axis=1)
print("predictions", *predicted)
print("labels     ", *y_test[:32])

figure = plt.figure(figsize=(11, 4), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=[2, 3])
left.plot(losses, color=COLORS[1], linewidth=5, alpha=0.5, label="by hand")
left.plot(history["loss"], "--", color=COLORS[0], label="from layers")
left.set(title="Loss", xlabel="iteration", ylabel="cross-entropy", ylim=(0, None))
left.legend(frameon=False)
side = int(inputs**0.5)
plot_predictions(x_test[:32].reshape(32, side, side), predicted, y_test[:32], ax=right)
right.set_title("Predictions for test images")
save_or_show(figure, options.plot)
