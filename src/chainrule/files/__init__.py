"""Atomic writes, locks and safetensors files. Nothing here knows about models."""
