"""`python -m swath` and the script `swath`: the command, interrupted in one line from its first moment on."""

import os
import signal


def main() -> None:
    """Import the command line, and run it."""
    # Whoever ignores interrupts, as nohup does, goes on to.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _stop)
    from swath.cli import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _stop(*_: object) -> None:
    """End at once: nothing was begun, and what imports make of an exception is not foreseen."""
    os.write(2, b"interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
