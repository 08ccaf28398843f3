"""A paper's table by one command: its rows trained, measured, and set beside the published ones."""
