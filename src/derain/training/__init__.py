"""Training: a recipe from a TOML file, the loop that runs it, and checkpoints to go on from."""
