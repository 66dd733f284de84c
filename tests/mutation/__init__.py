"""Damaged files, made from valid ones with a fixed seed, and how the readers handle them.

With ``tests`` on PYTHONPATH, ``python -m mutation --count 10000`` reads as many and prints the
figures as JSON.
"""
