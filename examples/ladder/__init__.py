"""The accuracy ladder: published results on MNIST from 1998 to 2014, repeated.

Each rung is a network from a paper. Run this package from the root of the repository::

    python -m examples.ladder --rung simard-elastic --seeds 3
    python -m examples.ladder --table docs/results.md --plot docs/images/ladder.png

The final networks learn from all 60,000 training images, and each is tested once.
Settings are chosen without the test images: ``--choose`` trains on 50,000 training images and
measures the error on the other 10,000.
"""
