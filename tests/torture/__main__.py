"""`python -m tests.torture`. The code is in `long_form`, because processes that are spawned cannot import this file."""

import sys

from tests.torture.long_form import main

sys.exit(main())
