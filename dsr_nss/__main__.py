"""`python -m dsr_nss`: the command `dsr-nss`."""

import sys

from dsr_nss.commands import main

if __name__ == '__main__':
    sys.exit(main())
