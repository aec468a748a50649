"""Runs of a study as jobs of a cluster that has a queue of its own: scripts are written, not submitted."""
