"""Readers of publishers' files that are no tables. One module each, found by the file name that an entry of
`common.data.registry` gives.

A module has ``read(folder)``: tables by split, or nothing where the folder does not have this layout.
"""
