"""`python -m appliance` is `sekisho`."""

import sys

from appliance.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
