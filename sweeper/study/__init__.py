"""What to try: configurations, search spaces and study files. Imports no torch."""
