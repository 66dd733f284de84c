"""The figures of the pages, and the numbers that they show."""

from . import activations, layers, training

FIGURES = {
    "rectifiers": activations.draw_rectifiers,
    "sigmoids": activations.draw_sigmoids,
    "softmax": activations.draw_softmax,
    "initial_weights": layers.draw_initial_weights,
    "pooling": layers.draw_pooling,
    "dropout": layers.draw_dropout,
    "normalization": layers.draw_normalization,
    "padding": layers.draw_padding,
    "losses": training.draw_losses,
    "landscape": training.draw_landscape,
    "overfitting": training.draw_overfitting,
}
"""A dict from the name of each figure to the function that draws it."""
