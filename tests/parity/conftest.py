"""What these tests need beside PyTorch."""

import importlib.util

if importlib.util.find_spec("onnxruntime") is None:
    collect_ignore = ["test_onnx.py"]  # `nox -s parity` installs it and runs them
