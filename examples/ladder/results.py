"""The measurements as files, as a table and as a picture."""

import json
import statistics

from .rungs import LADDER

START, END = "<!-- measured -->", "<!-- end of measurements -->"


def read(path):
    """Return the measurements in a file, or an empty list if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def add(path, measurement):
    """Add a measurement to a file. The old file is replaced when the new file is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    text = json.dumps([*read(path), measurement], indent=1, ensure_ascii=False)
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)


def percentages(runs):
    """Return the errors of all runs, in percent."""
    return [100 * run["errors"] / run["images"] for run in runs]


def shown(runs):
    """Return the mean and the standard deviation of the errors, as text."""
    errors = percentages(runs)
    spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
    return f"{statistics.mean(errors):.2f}{spread}"


def machine(run):
    """Return the processor and the number of threads of a measurement."""
    threads = run["threads"]
    return f"{run['machine']}, {threads} {'thread' if threads == '1' else 'threads'}"


def row(rung, runs):
    """Return the table cells of a rung: the published result, and ours if it was measured."""
    cells = [rung.title, f"{rung.paper} ({rung.year})", f"{rung.published:g}"]
    if not runs:
        return [*cells, "not measured", "", "", ""]
    minutes = [run["cpu_minutes"] for run in runs if "cpu_minutes" in run]
    mean = f"{statistics.mean(minutes):.1f}" if minutes else ""
    machines = sorted({machine(run) for run in runs})
    return [*cells, shown(runs), str(len(runs)), mean, "; ".join(machines)]


def table(folder):
    """Return the ladder as a table in Markdown, with test errors in percent."""
    heads = ["network", "paper", "published", "ours", "seeds", "CPU minutes per seed", "machine"]
    rows = [heads, ["---"] * len(heads)]
    rows += [row(rung, read(folder / f"{rung.name}.json")) for rung in LADDER]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def write_table(path, folder):
    """Replace the table between the two marker comments on a page."""
    before, start, rest = path.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{path}: expected {START}, and {END} after it")
    page = f"{before}{start}\n\n{table(folder)}\n\n{end}{after}"
    path.write_text(page, encoding="utf-8")


def draw(path, folder):
    """Draw the published errors and ours, one line per rung."""
    from matplotlib.figure import Figure

    from chainrule.plotting import save_or_show
    from chainrule.plotting.figures import BLUE, VERMILLION

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    ax = figure.subplots()
    for line, rung in enumerate(LADDER):
        errors = percentages(read(folder / f"{rung.name}.json"))
        ax.plot(rung.published, line, "D", markersize=9, fillstyle="none", color=VERMILLION)
        ax.plot(errors, [line] * len(errors), "o", markersize=5, alpha=0.5, color=BLUE)
        if errors:
            ax.plot(statistics.mean(errors), line, "|", markersize=18, color=BLUE)
    ax.plot([], [], "D", fillstyle="none", color=VERMILLION, label="published")
    ax.plot([], [], "o", alpha=0.5, color=BLUE, label="ours, one point per seed")
    ax.plot([], [], "|", markersize=12, color=BLUE, label="our mean")
    ax.legend(loc="upper left")
    ax.set_yticks(range(len(LADDER)), [f"{r.title} ({r.year})" for r in LADDER])
    ax.invert_yaxis()
    ax.set_xscale("log")
    ticks = [0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3, 5]
    ax.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.set_xlabel("errors on the test images")
    save_or_show(figure, path)
