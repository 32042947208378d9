"""`twolayer report`: an experiment as one HTML page."""
