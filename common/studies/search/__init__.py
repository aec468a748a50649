"""Search: points that are decided one after the other, from what the earlier ones came to."""
