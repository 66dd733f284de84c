"""Every schedule returns a valid learning rate at every step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr

RATE = st.floats(0, 1e6)
STEPS = st.integers(1, 10**6)
FACTOR_THAT_DOES_NOT_GROW = st.floats(0, 1, exclude_min=True)
POSITIVE = st.floats(1e-6, 1e6)

s = cr.schedules
SCHEDULES = {
    "step_decay": st.builds(s.step_decay, RATE, STEPS, FACTOR_THAT_DOES_NOT_GROW),
    "exponential": st.builds(s.exponential, RATE, FACTOR_THAT_DOES_NOT_GROW),
    "polynomial": st.builds(s.polynomial, RATE, STEPS, RATE, POSITIVE),
    "cosine": st.builds(s.cosine, RATE, STEPS, RATE),
    "cosine_restarts": st.builds(s.cosine_restarts, RATE, STEPS, RATE, st.integers(1, 10)),
    "one_cycle": st.builds(
        s.one_cycle, RATE, STEPS, st.floats(0, 1, exclude_min=True, exclude_max=True),
        st.sampled_from(["cos", "linear"]), POSITIVE, POSITIVE,
    ),
}  # fmt: skip
SCHEDULES["warmup"] = st.builds(
    s.warmup, st.integers(0, 10**6), RATE | st.one_of(*SCHEDULES.values()), RATE
)


@pytest.mark.parametrize("schedules", SCHEDULES.values(), ids=SCHEDULES)
@given(data=st.data())
def test_a_rate_is_finite_and_not_negative(schedules, data):
    schedule = data.draw(schedules)
    end = getattr(schedule, "steps", 1)
    near_the_end = st.integers(max(end - 2, 0), end + 2)
    for step in data.draw(st.lists(st.integers(0, 10**6) | near_the_end, min_size=5)):
        rate = schedule(step)
        assert 0.0 <= rate < math.inf
        cr.SGD(rate)
