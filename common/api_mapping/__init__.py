"""Which MindSpore call replaces which torch call: a registry of rows that are executed, not read."""
