"""The command line: words in; tables, progress and exit codes out.

Decides nothing about training or measuring. May import every other room; nothing imports it.
"""

OK, INTERNAL, USAGE, FAILED, DIVERGED, SLOWER, UNSURE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130
