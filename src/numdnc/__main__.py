"""`python -m numdnc` is `numdnc`."""

from numdnc.cli import main

main()
