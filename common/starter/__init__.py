"""``twinlora init``: from a user's data to a complete experiment file."""
