"""Files that are damaged at random, with a fixed seed, and checks of how readers handle them.

With ``tests`` on PYTHONPATH, ``python -m mutation --count 10000`` reads 10000 files and prints the
figures as JSON.
"""
