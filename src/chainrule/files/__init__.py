"""Atomic writes, locks, a cache and safetensors files. Nothing here depends on models."""
