"""Reports of runs: self-contained HTML pages."""

from common.report.pages import compare_runs, run_page

__all__ = ["compare_runs", "run_page"]
