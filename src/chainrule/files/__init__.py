"""Atomic writes, locks and safetensors files. Nothing here depends on models."""
