"""What a GPU is good for: ``python -m benchmarks.gpu``."""
