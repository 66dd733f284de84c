"""The files in this folder are not run; mypy checks them."""

collect_ignore_glob = ["*.py"]
