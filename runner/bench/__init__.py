"""What a step costs, which implementation is faster, and how certain that is.

May import engine, verify and all below. Its jobs run in processes that the engine forks.
"""
