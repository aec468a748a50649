"""Measuring: subjects are processes that are commanded in turn; ratios of neighbouring measurements are what is
reported."""
