"""The model of the time that a step takes on several ranks."""

import pytest

from benchmarks.processes import CONNECTIONS, NETWORKS, model_table, predicted


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_the_gradient_is_divided_and_the_sum_is_added(connection):
    widths, batch = [1000, 1000], 64
    latency, bandwidth = CONNECTIONS[connection]
    one, two = (predicted(widths, batch, connection, size) for size in (1, 2))
    gradient = one - predicted(widths, 0, connection, 1)
    message = latency + 2 * 1_001_000 / bandwidth  # half of the parameters, of 4 bytes each
    assert two == pytest.approx(one - gradient / 2 + 2 * message)


def test_the_table_has_a_row_for_each_network_and_connection():
    heads, _, *lines = model_table().splitlines()
    assert heads.count("ranks") == 4
    assert len(lines) == len(NETWORKS) * len(CONNECTIONS)
