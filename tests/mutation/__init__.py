"""Random damage to files, with a fixed seed, and checks of how readers handle the files.

With ``tests`` on PYTHONPATH, ``python -m mutation --count 10000`` reads 10000 files and prints the
results as JSON.
"""
