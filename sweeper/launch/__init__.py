"""Where trials run: launchers, workers, and what they say to each other."""
