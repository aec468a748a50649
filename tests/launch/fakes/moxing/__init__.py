"""A stand-in for ModelArts' package: ``obs://bucket/key`` is the file $FAKE_STORE/bucket/key. Tests put this folder's
parent on PYTHONPATH.
 Every call is a line of $FAKE_STORE/calls. $FAKE_FAULT, for example ``raise 3`` or ``hang 3-``, spoils the third call,
or every one from it on, of whatever process: it raises, never returns, or does half its work (of the calls from it on,
those of the same kind).
"""

from . import file  # noqa: F401
