"""Many trainings, each in a process of its own, none of them lost; here or on a Dask cluster.

May import results, training, config and the ground. A job names the function that does it.
"""
