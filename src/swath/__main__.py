"""`python -m swath` is the `swath` command."""

from swath.cli import main

if __name__ == "__main__":
    main()
