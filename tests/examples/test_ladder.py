"""The accuracy ladder: its networks, its files, its table and its picture."""

import dataclasses
import json

import numpy as np
import pytest
from running import ROOT

import chainrule as cr
from examples.ladder import results, training
from examples.ladder.__main__ import main
from examples.ladder.rungs import LADDER, RUNGS

PARAMETERS = {
    "lecun-300": 785 * 300 + 301 * 10,
    "lecun-500-150": 785 * 500 + 501 * 150 + 151 * 10,
    "simard-800": 785 * 800 + 801 * 10,
    "hinton-500-300": 785 * 500 + 501 * 300 + 301 * 10,
    "dropout": 785 * 1024 + 2 * 1025 * 1024 + 1025 * 10,
    "simard-affine": 785 * 800 + 801 * 10,
    "max-norm": 785 * 1024 + 2 * 1025 * 1024 + 1025 * 10,
    "lenet-5": 61706,
    "lenet-5-distorted": 61706,
    "simard-elastic": 785 * 800 + 801 * 10,
    "simard-conv-affine": 26 * 5 + 126 * 50 + 1251 * 100 + 101 * 10,
    "simard-conv-elastic": 26 * 5 + 126 * 50 + 1251 * 100 + 101 * 10,
    "ciresan": 785 * 2500 + 2501 * 2000 + 2001 * 1500 + 1501 * 1000 + 1001 * 500 + 501 * 10,
}


def images(n, seed):
    """Return noisy images and labels. The label of an image is the place of its bright bar."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 60, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)
    for image, label in zip(x, y, strict=True):
        image[:, 2 * label + 4 : 2 * label + 6] += 190
    return x, y


@pytest.fixture
def small(monkeypatch):
    """Replace MNIST with 300 + 50 images, and shorten the first rung to two epochs."""
    monkeypatch.setattr(cr.datasets, "mnist", lambda: (images(300, 0), images(50, 1)))
    rung = dataclasses.replace(RUNGS["lecun-300"], epochs=2, batch_size=30)
    monkeypatch.setitem(RUNGS, rung.name, rung)


def climb(folder, *options):
    main(["--rung", "lecun-300", "--results", str(folder), *map(str, options)])


def stored(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
def test_the_network_of_a_rung(rung):
    model = cr.Sequential(*rung.layers())
    assert sum(np.prod(p.shape) for p in model.parameters()) == PARAMETERS[rung.name]
    x, _ = images(2, 0)
    changed = rung.augment(x, np.random.default_rng(0)) if rung.augment else x
    assert model.predict(changed).shape == (2, 10)
    assert (changed.shape, changed.dtype) == (x.shape, x.dtype)


def test_published_errors_fall_from_rung_to_rung():
    published = [rung.published for rung in LADDER]
    assert published == sorted(published, reverse=True)
    assert len(RUNGS) == len(LADDER)


def test_max_norm_limits_every_layer():
    layers = RUNGS["max-norm"].layers()
    assert [layer.weight.max_norm for layer in layers if isinstance(layer, cr.Linear)] == [2.0] * 4


def test_the_measurements_of_two_seeds(tmp_path, small, capsys):
    climb(tmp_path, "--seeds", 2, "--machine", "abacus")
    first, second = stored(tmp_path / "lecun-300.json")
    assert (first["seed"], second["seed"]) == (0, 1)
    assert first["loss"] != second["loss"]
    assert (first["images"], first["machine"]) == (50, "abacus")
    assert first["errors"] < 25  # guessing makes 45 errors
    assert first["settings"]["training_images"] == 300
    assert list(tmp_path.glob("checkpoints/*")) == []
    printed = rf"lecun-300, seed 0: {2 * first['errors']}.00 % errors"
    assert printed in capsys.readouterr().out


def test_seeds_that_were_measured_are_not_measured_again(tmp_path, small, capsys):
    climb(tmp_path)
    before = stored(tmp_path / "lecun-300.json")
    climb(tmp_path, "--seeds", 2)
    assert stored(tmp_path / "lecun-300.json")[:1] == before
    assert len(stored(tmp_path / "lecun-300.json")) == 2
    assert "seed 0: measured before" in capsys.readouterr().out


def test_a_stopped_run_continues_at_its_last_epoch(tmp_path, small, monkeypatch, capsys):
    climb(tmp_path / "whole")

    class Checkpoint(cr.callbacks.Checkpoint):
        def on_step_end(self, trainer):
            if trainer.epoch == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "Checkpoint", Checkpoint)
        with pytest.raises(KeyboardInterrupt):
            climb(tmp_path / "stopped")
    assert not (tmp_path / "stopped/lecun-300.json").exists()
    capsys.readouterr()
    climb(tmp_path / "stopped")
    out = capsys.readouterr().out
    assert "step-00000010.safetensors" in out  # the first epoch has ten steps
    assert "epoch 1/2" not in out
    (whole,), (stopped,) = (
        stored(tmp_path / name / "lecun-300.json") for name in ("whole", "stopped")
    )
    times = {"minutes": 0, "cpu_minutes": 0}
    assert whole | times == stopped | times


def test_settings_are_chosen_without_the_test_images(tmp_path, monkeypatch):
    monkeypatch.setattr(cr.datasets, "mnist", lambda: (images(600, 0), None))
    climb(tmp_path, "--choose", "epochs=1", "lr=0.002", "--seeds", 1)
    climb(tmp_path, "--choose", "epochs=1", "weight_decay=0.5")
    first, second = stored(tmp_path / "validation/lecun-300.json")
    assert (first["images"], first["settings"]["training_images"]) == (100, 500)
    assert first["settings"]["epochs"] == 1
    assert "max_lr=0.002" in first["settings"]["optimizer"]
    assert "weight_decay=0.5" in second["settings"]["optimizer"]
    assert not (tmp_path / "lecun-300.json").exists()


@pytest.mark.parametrize("choice", ["lr", "lr=fast", "layers=3"])
def test_an_unknown_setting_is_reported(tmp_path, choice, capsys):
    with pytest.raises(SystemExit):
        climb(tmp_path, "--choose", choice)
    expected = f"expected a setting such as lr=0.002 or epochs=10, found '{choice}'"
    assert expected in capsys.readouterr().err


def test_measurements_with_other_settings_are_not_mixed(tmp_path, small, monkeypatch):
    climb(tmp_path)
    other = dataclasses.replace(RUNGS["lecun-300"], lr=0.5)
    monkeypatch.setitem(RUNGS, "lecun-300", other)
    with pytest.raises(SystemExit, match="expected measurements with the settings of lecun-300"):
        climb(tmp_path, "--seeds", 2)


def run(errors, seed, **more):
    settings = RUNGS["lenet-5"].settings(60000)
    made = {"seed": seed, "errors": errors, "images": 1000, "settings": settings}
    return made | {"cpu_minutes": 1.5, "machine": "abacus", "threads": "1"} | more


def test_the_table_and_the_picture(tmp_path):
    for seed, errors in enumerate((10, 20, 30)):
        results.add(tmp_path / "lenet-5.json", run(errors, seed))
    page, picture = tmp_path / "page.md", tmp_path / "ladder.png"
    page.write_text(f"before\n{results.START}old{results.END}\nafter\n", encoding="utf-8")
    main(["--results", str(tmp_path), "--table", str(page), "--plot", str(picture)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    row = "| LeNet-5 | LeCun et al. (1998) | 0.95 | 2.00 ± 1.00 | 3 | 1.5 | abacus, 1 thread |"
    assert row in text
    assert text.count("not measured") == len(LADDER) - 1
    from matplotlib.image import imread

    assert imread(picture).shape[1] >= 900


def test_a_page_without_a_place_for_the_table_is_reported(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(results.START, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"page\.md: expected <!-- measured -->, and"):
        main(["--results", str(tmp_path), "--table", str(page)])
    assert page.read_text(encoding="utf-8") == results.START


def test_the_page_agrees_with_the_measurements():
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert f"{results.START}\n\n{results.table(ROOT / 'docs/results')}\n\n{results.END}" in page


def test_the_measurements_have_the_settings_of_the_script():
    for rung in LADDER:
        runs = results.read(ROOT / f"docs/results/{rung.name}.json")
        assert all(run["settings"] == rung.settings(60000) for run in runs), rung.name
        assert len({run["seed"] for run in runs}) == len(runs), rung.name
        assert {run["images"] for run in runs} <= {10000}, rung.name
