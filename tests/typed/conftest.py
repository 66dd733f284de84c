"""Mypy checks the files in this folder, which are never run."""

collect_ignore_glob = ["*.py"]
