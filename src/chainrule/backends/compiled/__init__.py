"""A small compiler for training steps on the CPU: record, fuse, emit, compile."""
