"""The command `twolayer`, also as `python -m twolayer`."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends it without a word."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:  # not ignored, as it is in the background of a shell
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli.app import main

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()


if __name__ == "__main__":
    main()
