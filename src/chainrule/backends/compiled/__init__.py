"""A small compiler for training steps on the CPU.

`recording` and `arrays` record a step as a `program` of loops, `namespace` holds the functions that
the step uses, `fuse` joins loops, `emit` writes LLVM code, and `compile` makes machine code of it.
"""
