"""`python -m charl` is `charl`."""

from charl.cli import main

main(prog_name="charl")
