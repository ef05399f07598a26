"""The command line: one verb a file."""

import os

# Arrow's allocator reads this when it is loaded: what a server let go of leaves the process after a
# tenth of a second.  By default it may stay for minutes, since nothing is allocated meanwhile.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "100")
# PyTorch's threads sleep while they wait for each other.  By default they spin, on cores that other
# processes need, such as those that decode: docs/speed.md has what that costs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
