"""15. Sequences
=============

Recurrent layers remember: a sum over a distance, a digit read row by row, and text.

1. The adding problem. Each sequence holds random numbers from 0 to 1. Two of them are marked, and
   the target is their sum. The network has to remember the first marked one until the end. Always
   predicting 1 gives a mean squared error of 1/6, about 0.167. The error of RNN stays near this
   value, and the errors of LSTM and GRU fall below 0.02. The gradients show why: going back in
   time, the gradient of RNN becomes smaller by about the same factor at each step. In LSTM and GRU,
   the gates learn to let the gradient through.
2. A digit read row by row. An LSTM sees one row of the image at a step, and answers after the last
   row. The picture also shows its answers after fewer rows. Bright squares are likely digits.
3. Text. A GRU learned from Python's own help texts to guess the next character. The state at the
   end of a piece of text becomes the initial state of the next piece, but no gradient flows from
   one piece back to the previous piece. This is called truncated backpropagation through time. To
   write, the network draws a character from the predicted probabilities, and reads this character
   as its next input. At a low temperature, it mostly draws the most likely characters.

``--long`` takes minutes: sequences of 100 steps instead of 30, all images, and all of the text. The
squared error of the GRU is then 0.0002, the LSTM reads about 99.2 % of the test digits correctly,
and the cross-entropy of the text falls to about 1.0 per character.

Source of the adding problem: S. Hochreiter and J. Schmidhuber, "Long short-term memory", 1997.
"""

import re
from pydoc_data.topics import topics
from textwrap import wrap

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import save_or_show
from chainrule.plotting.figures import COLORS

options = arguments(__doc__, long=False, seed=0, gradients="")
rng = np.random.default_rng(options.seed)


def optimizer(lr, steps):
    """Return Adam with limited gradients and a learning rate that rises and falls."""
    return cr.Adam(lr=cr.schedules.one_cycle(lr, steps), clip_norm=1.0)


# 1. The adding problem

STEPS, HIDDEN, BATCH = (100, 64, 64) if options.long else (30, 32, 64)
ROUNDS = 30 if options.long else 10  # of 50 training steps each
KINDS = {"RNN": cr.RNN, "LSTM": cr.LSTM, "GRU": cr.GRU}


def adding(samples, rng):
    """Return sequences of numbers and marks, ``(samples, time, 2)``, and the sums to predict."""
    x = np.zeros((samples, STEPS, 2), dtype="float32")
    x[:, :, 0] = rng.random((samples, STEPS))
    row, middle = np.arange(samples), STEPS // 2
    x[row, rng.integers(0, middle, samples), 1] = 1
    x[row, rng.integers(middle, STEPS, samples), 1] = 1
    return x, np.sum(x[:, :, 0] * x[:, :, 1], axis=1)[:, None]


def adder(kind, **init):
    """Return an untrained network for the adding problem."""
    layers = kind(2, HIDDEN, output="last", **init), cr.Linear(HIDDEN, 1)
    return cr.Sequential(*layers, backend=options.backend, seed=options.seed)


def gradient_norms(model, x):
    """Return, for each step, the norm of the output's gradient with respect to the state.

    The first number belongs to the last step, and is 1. The layer gets one step at a time, so that
    it returns the state of each step, and later its gradient.
    """
    values = {name: parameter.value for name, parameter in model[0].named_parameters().items()}
    layer = type(model[0])(2, HIDDEN, return_state=True).bind(options.backend, values=values)
    x = layer.backend.asarray(x)
    zeros = layer.backend.asarray(np.zeros((len(x), 1, HIDDEN), dtype="float32"))
    states, backs = dict.fromkeys(layer.states, zeros), []
    for t in range(STEPS):
        (_, *after), back = layer.forward({"x": x[:, t : t + 1, :], **states})
        states = dict(zip(layer.states, after, strict=True))
        backs.append(back)
    output, back = model[1].forward(states["h"][:, 0, :])
    dh = back(output * 0 + 1)[:, None, :]
    gradients = [dh, *(zeros for _ in layer.states[1:])]  # the output depends on h only
    norms = []
    for back in reversed(backs):
        host = [layer.backend.to_numpy(gradient) for gradient in gradients]
        norms.append(np.mean(np.linalg.norm(np.concatenate(host, axis=2), axis=2)))
        found = back((None, *gradients))
        gradients = [found[name] for name in layer.states]
    return np.array(norms) / norms[0]


def draw_gradients(ax, curves, **style):
    """Draw gradient norms against the distance in time."""
    for (name, norms), color in zip(curves.items(), COLORS, strict=False):
        ax.semilogy(norms, color=color, label=name, **style)
    ax.set(xlabel="steps back in time")


test = adding(1000, np.random.default_rng(options.seed + 1))
errors, before, after = {}, {}, {}
for name, kind in KINDS.items():
    model = adder(kind)
    before[name] = gradient_norms(model, test[0][:100])
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=optimizer(0.01, 50 * ROUNDS))
    errors[name] = []
    for _ in range(ROUNDS):  # each with new sequences
        trainer.fit(*adding(50 * BATCH, rng), batch_size=BATCH, verbose=0)
        errors[name].append(trainer.evaluate(*test)["loss"])
    after[name] = gradient_norms(model, test[0][:100])
    print(f"{name}: squared error {errors[name][-1]:.4f} at {STEPS} steps;", end=" ")
    print(f"gradient at the first step {before[name][-1]:.0e}, trained {after[name][-1]:.0e}")
bound = 3 / np.sqrt(HIDDEN)
large = adder(cr.RNN, init=cr.initializers.uniform(-bound, bound))
before["RNN, weights three times as large"] = gradient_norms(large, test[0][:100])
guess = np.mean((test[1] - 1) ** 2)
print(f"always predicting 1: squared error {guess:.4f}\n")

# 2. A digit read row by row


def data():
    """Load training and test images with values from 0 to 1, and their labels."""
    try:
        (x_train, y_train), (x_test, y_test) = cr.datasets.mnist()
        largest = 255
    except cr.datasets.DownloadError as error:
        from sklearn.datasets import load_digits

        print(f"{error}\nReading scikit-learn's handwritten digits instead.\n")
        x, y = load_digits(return_X_y=True)
        x = x.reshape(-1, 8, 8)
        x_train, y_train, x_test, y_test, largest = x[360:], y[360:], x[:360], y[:360], 16
    used, scale = slice(None if options.long else 10000), np.float32(1 / largest)
    return (x_train[used] * scale, y_train[used]), (x_test * scale, y_test)


(x_train, y_train), (x_test, y_test) = data()
steps, units = (3752, 128) if options.long else (316, 64)
rows = x_train.shape[1]
reader = cr.Sequential(
    cr.LSTM(x_train.shape[2], units, output="last"), cr.Linear(units, 10),
    backend=options.backend, seed=options.seed,
)  # fmt: skip
epochs = steps // -(-len(x_train) // 128)
trainer = cr.Trainer(reader, loss=cr.CrossEntropyLoss(), optimizer=optimizer(0.005, steps))
trainer.fit(x_train, y_train, epochs=epochs, batch_size=128, verbose=0)
print(f"digits row by row: test accuracy {trainer.evaluate(x_test, y_test)['accuracy']:.4f}\n")

digit = x_test[0]
parts = np.tile(digit, (rows, 1, 1)), np.arange(1, rows + 1)  # the same digit with each length
scores = reader.predict(parts)
answers = np.exp(scores - np.max(scores, axis=1, keepdims=True))
answers /= np.sum(answers, axis=1, keepdims=True)

# 3. Text, character by character

text = "\n".join(topics.values()).encode("ascii", "ignore").decode()
text = re.sub(r"(\W)\1+", r"\1", text)  # no runs of spaces or dashes
text = text[: None if options.long else 200_000]
alphabet = sorted(set(text))
words = set(re.findall(r"\w+", text))
streams, piece, memory = 16, 64, 256 if options.long else 128


def write(length, temperature):
    """Return text that the network writes, starting on a new line."""
    written, h = ["\n"], np.zeros((1, 1, memory), dtype="float32")
    while len(written) <= length:
        code = np.array([[alphabet.index(written[-1])]])
        scores, h = writer.predict({"x": code, "h": h})
        shares = np.exp((scores[0, 0] - np.max(scores)).astype("float64") / temperature)
        written.append(rng.choice(alphabet, p=shares / np.sum(shares)))
    return "".join(written[1:])


writer = cr.Sequential(  # scores of each next character, and the last state
    cr.Embedding(len(alphabet), 64), cr.GRU(64, memory, return_state=True),
    cr.Linear(memory, len(alphabet)), backend=options.backend, seed=options.seed,
)  # fmt: skip
backend, loss = writer.backend, cr.CrossEntropyLoss()
length = len(text) // streams
codes = np.searchsorted(alphabet, list(text[: length * streams])).reshape(streams, length)
starts = range(0, length - piece, piece)
epochs, lr = (5, 0.004) if options.long else (3, 0.02)
adam = optimizer(lr, epochs * len(starts)).bind(writer)
for epoch in range(epochs):
    values = []
    h = backend.asarray(np.zeros((streams, 1, memory), dtype="float32"))
    for start in starts:
        x = backend.asarray(codes[:, start : start + piece])
        following = backend.asarray(codes[:, start + 1 : start + piece + 1])
        (scores, h), back_through_writer = writer.forward({"x": x, "h": h}, training=True)
        value, back_through_loss = loss(scores, following)
        back_through_writer((back_through_loss(), None))  # no gradient comes from the next piece
        adam.step()
        values.append(float(value))
    print(f"epoch {epoch + 1}: cross-entropy {np.mean(values):.3f} per character")
    print(f"  {write(160, 0.7)!r}")
samples = {temperature: write(1200, temperature) for temperature in (0.3, 0.7, 1.2)}
for temperature, sample in samples.items():
    found = re.findall(r"\w+", sample)
    share = sum(word in words for word in found) / len(found)
    print(f"temperature {temperature}: {share:.0%} of the words are in the text")

# The picture

figure = plt.figure(figsize=(11, 8), layout="constrained")
top, bottom = figure.subfigures(2, 1)
left, right = top.subplots(1, 2)
for (name, curve), color in zip(errors.items(), COLORS, strict=False):
    left.semilogy(50 * np.arange(1, ROUNDS + 1), curve, color=color, label=name)
left.axhline(guess, color="0.5", linestyle=":", label="predicting 1")
left.set(title=f"Adding two of {STEPS} numbers: squared error", xlabel="training step")
left.legend(frameon=False)
draw_gradients(right, before, linestyle=":")
draw_gradients(right, after)
right.set(title="Norm of the gradient (dotted: before training)")
handles, labels = right.get_legend_handles_labels()
right.legend(handles[3:], labels[3:], frameon=False)

columns = bottom.subplots(1, 3, width_ratios=[1, 1, 3])
columns[0].imshow(digit, cmap="gray", aspect="auto")
columns[0].set(title="A digit", xticks=[], ylabel="row")
columns[1].imshow(answers, aspect="auto", vmin=0, vmax=1)
columns[1].set(title="Read row by row", xticks=range(10), yticks=[], xlabel="answer")
lines = [part for line in samples[0.7].splitlines() for part in wrap(line, 72)]
page = {"va": "top", "family": "monospace", "fontsize": 8.5, "parse_math": False}
columns[2].text(0, 1, "\n".join(lines[:22]), **page)
columns[2].set(title="Written by the network")
columns[2].axis("off")
save_or_show(figure, options.plot)

if options.gradients:
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4), layout="constrained", sharey=True
    )  # fmt: skip
    draw_gradients(left, before)
    draw_gradients(right, after)
    left.set(title="Before training", ylabel="norm of the gradient")
    right.set(title="After training on the adding problem")
    left.legend(frameon=False)
    save_or_show(figure, options.gradients)
