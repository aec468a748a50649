"""Studies: many runs of one definition, planned, run, resumed and recorded; see docs/studies.md.

A definition (`definition`) becomes points (`points`), each of which has an identity (`identity`) and a run directory
(`layout`). `scheduler` hands points to an executor (`executors`), which runs each in a process of its own (`attempt`,
`worker`). `search` decides points one after the other instead of all at once.
"""
