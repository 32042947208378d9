"""What is to run: settings, YAML files, implementations, sweeps, and the plan made of them.

May import the ground (errors, output, machine, packages, tables). Imports no framework.
"""
