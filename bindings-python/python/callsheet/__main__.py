"""The command `callsheet`, also as `python -m callsheet`."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from callsheet import _callsheet


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    # What Python does to signals is undone, so that the command and the programs it runs find them as a shell left
    # them: Ctrl-C is the command's own to hear, and Python would act on it only when the command is over.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.exit(_callsheet.command_line(["callsheet", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
