"""The command `derain`, which is `python -m derain` too.

Nothing but this is imported before `main` is called, so that Ctrl-C finds it ready at once.
"""

import gc
import os
import signal
from types import FrameType

IMPORTING = "<frozen importlib._bootstrap>"  # the file of code that imports


def end(number: int, frame: FrameType | None) -> None:
    """Ctrl-C: end the process without a word while it imports, else raise the usual exception.

    In the middle of an import that exception could be lost, or turn into a failed import.
    """
    while frame:
        if frame.f_code.co_filename == IMPORTING:
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line."""
    watched = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # it may be ignored
    if watched:
        signal.signal(signal.SIGINT, end)
    try:
        from derain.cli import main as run

        run()
    finally:
        gc.freeze()  # else the end of the interpreter looks for garbage in all modules: 0.1 s
        if watched:  # what is left is the end of the interpreter, which knows no exceptions
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
