"""The command line: one file per command; the only room that imports tyro and rich, and the only one that prints.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 done but something is wrong with the data or
the machine, 2 the request cannot be carried out, 70 a fault of roadseg, 130 interrupted, 141 the reader of the output
went away.
"""

from roadseg.cli.entry import main

__all__ = ["main"]
