"""Damaged files, made from valid ones by a fixed seed, and what the readers make of them.

With ``tests`` on PYTHONPATH, ``python -m mutation --count 10000`` reads as many and prints the
figures as JSON.
"""
