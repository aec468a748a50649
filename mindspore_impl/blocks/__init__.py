"""What the native families are made of, with names and attention given by each. Has no counterpart: on the PyTorch side
the blocks are inside `transformers`."""
