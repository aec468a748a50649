"""Augmentation of texts with classes: further rows made of the rows that are there, by a seed."""
