"""`python -m xent_cli` is `xent`."""

from xent_cli.cli import main

main()
