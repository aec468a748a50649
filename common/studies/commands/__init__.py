"""Subcommands of ``twinlora study``: one module each, with ``add_parser(subparsers)`` and ``run(args)``."""
