"""`python -m derain` is `derain`."""

from derain.cli import main

main()
