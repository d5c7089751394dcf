"""`python -m swath` and the script `swath`: the command, interrupted in one line from its first moment on."""

import atexit
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
    try:
        run()
    except SystemExit as end:
        if end.code != 130:
            raise
        # Python ends by the signal, whatever the code, where it came while text was being executed.
        atexit._run_exitfuncs()
        os._exit(130)


def _stop(*_: object) -> None:
    """End at once: nothing was begun, and what imports make of an exception is not foreseen."""
    os.write(2, b"interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
