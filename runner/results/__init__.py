"""What is kept of runs, and how it is read again: records, tables, comparisons, exports.

May import config and the ground.
"""
