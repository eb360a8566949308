"""``python -m rpm_stream``: the command line."""

from rpm_stream.app.cli.main import main

main()
