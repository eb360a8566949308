"""What the command lines of all benchmarks share."""

from __future__ import annotations

import argparse


def parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser with ``--quick``. ``about`` is the docstring of the program."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--quick",
        action="store_true",
        help="run once with a small load: shows that the program works, and no true figure",
    )
    return made
