"""A network with two inputs, two hidden units and one output: each number stands at its edge."""

import numpy as np

import chainrule as cr

LR = 0.01
X, TARGET = np.array([[1.0, 2.0]]), np.array([[1.0]])
WEIGHTS = {
    "0.weight": np.array([[3.0, -1.0], [1.0, -2.0]]),
    "0.bias": np.array([1.0, 1.0]),
    "2.weight": np.array([[2.0, 3.0]]),
    "2.bias": np.array([1.0]),
}
PLACES = {
    "x1": (80, 110), "x2": (80, 310), "h1": (380, 110), "h2": (380, 310), "y": (640, 210),
    "L": (800, 210),
}  # fmt: skip
VALUE, GRADIENT, NEW = "#1f5fa8", "#c0392b", "#2e7d32"


def network():
    """Return the network before the step."""
    model = cr.Sequential(cr.Linear(2, 2), cr.LeakyReLU(0.5), cr.Linear(2, 1))
    model.bind(dtype="float64", values=WEIGHTS)
    return model


def numbers():
    """Train one step, and return a dict of all its numbers, with the names of the maths pages."""
    model = network()
    first, activation, last = model
    optimizer = cr.SGD(lr=LR).bind(model)
    z, back_through_first = first.forward(X)
    h, back_through_activation = activation.forward(z)
    y, back_through_last = last.forward(h)
    loss, back_through_loss = cr.MSELoss()(y, TARGET)
    dy = back_through_loss()
    dh = back_through_last(dy)
    dz = back_through_activation(dh)
    dx = back_through_first(dz)
    found = {"x": X, "t": TARGET, "z": z, "h": h, "y": y, "L": loss}
    found |= {"dy": dy, "dh": dh, "dz": dz, "dx": dx}
    for i, layer in ((1, first), (2, last)):
        found |= {f"W_{i}": layer.weight.value.copy(), f"b_{i}": layer.bias.value.copy()}
        found |= {f"dW_{i}": layer.weight.grad.copy(), f"db_{i}": layer.bias.grad.copy()}
    optimizer.step()
    for i, layer in ((1, first), (2, last)):
        found |= {f"new W_{i}": layer.weight.value, f"new b_{i}": layer.bias.value}
    found["new y"] = model.predict(X)
    found["new L"] = cr.MSELoss()(found["new y"], TARGET)[0]
    return {name: np.asarray(value) for name, value in found.items()}


def shown(number):
    """Return a number as it is written in the figure."""
    return f"{float(number):.5g}".replace("-", "\N{MINUS SIGN}")


def text(x, y, parts, size=15):
    """Return a line of text. `parts` are pairs of a colour and a text."""
    spans = "".join(f'<tspan fill="{color}">{part}</tspan>' for color, part in parts)
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" font-size="{size}">{spans}</text>'


def edge(start, end, at, value, gradient, new):
    """Return an edge with its weight, the gradient of the weight, and the new weight."""
    (x1, y1), (x2, y2) = PLACES[start], PLACES[end]
    x, y = x1 + at * (x2 - x1), y1 + at * (y2 - y1)
    line = f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#999" stroke-width="1.3"/>'
    box = f'<rect x="{x - 38:g}" y="{y - 20:g}" width="76" height="40" fill="white"/>'
    above = text(x, y - 3, [(VALUE, shown(value)), ("#999", " | "), (GRADIENT, shown(gradient))])
    return line, box + above + text(x, y + 15, [(NEW, shown(new))])


def node(name, label, value, gradient, below=""):
    """Return a node with its value above, its gradient below, and its parameters under both."""
    x, y = PLACES[name]
    parts = [
        f'<circle cx="{x}" cy="{y}" r="24" fill="white" stroke="#555" stroke-width="1.5"/>',
        text(x, y + 6, [("#222", label)], 17),
        text(x, y - 34, [(VALUE, value)]),
        text(x, y + 46, [(GRADIENT, gradient)]),
    ]
    return "".join([*parts, below])


def bias(name, number, value, gradient, new):
    """Return the bias of a node as text, placed under the gradient of the node."""
    x, y = PLACES[name]
    parts = [("#222", f"b{number} "), (VALUE, shown(value)), ("#999", " | ")]
    parts += [(GRADIENT, shown(gradient)), ("#999", " | "), (NEW, shown(new))]
    return text(x, y + 68, parts, 14)


def drawing():
    """Return the figure as SVG."""
    n = numbers()
    edges = [
        edge(f"x{k + 1}", f"h{j + 1}", 0.28 if j != k else 0.5, *(n[w][j, k] for w in FIRST))
        for j in range(2)
        for k in range(2)
    ]
    edges += [edge(f"h{k + 1}", "y", 0.5, *(n[w][0, k] for w in LAST)) for k in range(2)]
    (x1, y1), (x2, y2) = PLACES["y"], PLACES["L"]
    edges.append((f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#999"/>', ""))
    nodes = [
        node(f"x{k + 1}", f"x{k + 1}", shown(n["x"][0, k]), shown(n["dx"][0, k])) for k in (0, 1)
    ]
    for j in (0, 1):
        value = f"z = {shown(n['z'][0, j])}, h = {shown(n['h'][0, j])}"
        gradient = f"dh = {shown(n['dh'][0, j])}, dz = {shown(n['dz'][0, j])}"
        own = bias(f"h{j + 1}", j + 1, *(n[b][j] for b in ("b_1", "db_1", "new b_1")))
        nodes.append(node(f"h{j + 1}", f"h{j + 1}", value, gradient, own))
    own = bias("y", "", *(n[b][0] for b in ("b_2", "db_2", "new b_2")))
    nodes.append(node("y", "y", shown(n["y"][0, 0]), shown(n["dy"][0, 0]), own))
    nodes.append(node("L", "L", shown(n["L"]), ""))
    nodes.append(text(x2, y2 + 46, [(VALUE, f"t = {shown(n['t'][0, 0])}")]))
    legend = [(VALUE, "value"), ("#999", "  |  "), (GRADIENT, "gradient"), ("#999", "  |  ")]
    legend += [(NEW, f"value after a step of {LR:g} times the gradient")]
    after = [("#222", "after the step: "), (NEW, f"y = {shown(n['new y'][0, 0])}, ")]
    after += [(NEW, f"L = {shown(n['new L'])}")]
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 440" width="880" height="440" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
        "<title>One step of a network: values, gradients and new values</title>",
        '<rect width="880" height="440" fill="white"/>',
        *(line for line, _ in edges), *(label for _, label in edges), *nodes,
        text(400, 30, legend), text(720, 330, after), "</svg>\n",
    ])  # fmt: skip


FIRST, LAST = ("W_1", "dW_1", "new W_1"), ("W_2", "dW_2", "new W_2")
