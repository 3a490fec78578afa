"""What every test runs under, set before PyTorch is imported."""

import os

# As many processes as cores run the tests; threads of each on top would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
