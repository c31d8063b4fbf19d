"""python -m device_sort."""

import sys

from .cli import main

sys.exit(main())
