"""Proof that two computations are the same one: suites of cases, golden traces of them, and verdicts on pairs of
traces."""
