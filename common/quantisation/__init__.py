"""Numbers of few bits, in NumPy: what the backends' layers compute, to the bit where integers decide."""
