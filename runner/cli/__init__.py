"""The command line: words in; tables, progress and exit codes out.

Decides nothing about training or measuring. May import every other room; nothing imports it.
"""
