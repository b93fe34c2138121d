"""The driver: the one loop that asks, dispatches, reports, prunes, tells and recovers."""
