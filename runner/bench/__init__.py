"""`twolayer bench`: what a step costs, measured so that it can be believed."""
