"""What is shown of an experiment: its charts, as one page, figures or characters.

May import bench, verify and all below. Reads results; runs nothing.
"""
