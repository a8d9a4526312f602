"""`python -m tests.fuzz`. The code is in `long_form`, because processes that are spawned cannot import this file."""

import sys

from tests.fuzz.long_form import main

sys.exit(main())
