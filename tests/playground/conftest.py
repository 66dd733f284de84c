"""Tests of the playground are collected only where the libraries that they need are installed."""

import importlib.util
import shutil

collect_ignore = []
if importlib.util.find_spec("tornado") is None:
    collect_ignore += ["test_server.py", "test_training.py", "test_browser.py"]
elif importlib.util.find_spec("selenium") is None or shutil.which("chromedriver") is None:
    collect_ignore += ["test_browser.py"]
