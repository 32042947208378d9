"""One training, in the process that does it: the loop, the clock, the contract and its rules.

May import config and the ground.
"""
