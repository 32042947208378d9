"""Whether an implementation computes what the reference computes, and if not, why not.

May import results, training, config and the ground; not engine, which runs its jobs.
"""
