"""Atomic writes, locks and safetensors files. This folder knows nothing about models."""
