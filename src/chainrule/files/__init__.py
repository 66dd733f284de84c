"""Files as bytes: written atomically, and tensors in them. Nothing here knows a model."""
