"""What is drawn of an experiment, and what draws it: matplotlib, or characters."""
