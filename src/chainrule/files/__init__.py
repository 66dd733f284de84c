"""Atomic writes, and tensors in safetensors files. Nothing here knows about models."""
