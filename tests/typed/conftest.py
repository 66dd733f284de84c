"""Nothing in this folder is run: mypy reads it."""

collect_ignore_glob = ["*.py"]
