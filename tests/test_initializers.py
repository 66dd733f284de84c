"""Initial values have the documented distributions."""

import numpy as np
import pytest

from chainrule import initializers as init

SHAPE = (300, 200)  # 300 outputs and 200 inputs

VARIANCES = {
    "he": 2 / 200,
    "glorot": 2 / 500,
    "lecun": 1 / 200,
}


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_variances(name, kind):
    values = getattr(init, f"{name}_{kind}")()(np.random.default_rng(0), SHAPE)
    assert values.shape == SHAPE
    assert abs(values.mean()) < 4 * np.sqrt(VARIANCES[name] / values.size)
    assert values.var() == pytest.approx(VARIANCES[name], rel=0.03)
    if kind == "uniform":
        assert np.abs(values).max() <= np.sqrt(3 * VARIANCES[name])
    else:
        assert np.abs(values).max() > np.sqrt(3.5 * VARIANCES[name])


def test_given_distributions():
    rng = np.random.default_rng(0)
    values = init.uniform(-0.5, 0.25)(rng, SHAPE)
    assert values.min() == pytest.approx(-0.5, abs=1e-3)
    assert values.max() == pytest.approx(0.25, abs=1e-3)
    assert init.normal(0.1)(rng, SHAPE).std() == pytest.approx(0.1, rel=0.03)
    assert not init.zeros()(rng, (3,)).any()
    assert (init.constant(3)(rng, (3,)) == 3.0).all()
    assert repr(init.given(np.ones((2, 3)))) == "given(<array of shape (2, 3)>)"


def test_bad_options():
    for bad in (lambda: init.uniform(1.0, 1.0), lambda: init.normal(-1.0)):
        with pytest.raises(ValueError, match="expected"):
            bad()
    with pytest.raises(ValueError, match=r"weights of shape \(out, in, ...\), found \(3,\)"):
        init.he_normal()(np.random.default_rng(0), (3,))
