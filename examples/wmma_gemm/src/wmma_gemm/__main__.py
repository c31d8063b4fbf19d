"""python -m wmma_gemm."""

import sys

from .cli import main

sys.exit(main())
