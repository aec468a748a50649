"""The report of a study, from its directory alone: see `common.report.study.write.write_report`."""
