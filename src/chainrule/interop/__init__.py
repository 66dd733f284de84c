"""Conversions from and to other libraries."""

from .onnx import to_onnx
from .torch import from_torch

__all__ = ["from_torch", "to_onnx"]
