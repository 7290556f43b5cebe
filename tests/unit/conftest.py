"""What all unit tests have."""

from streamjob_runtime.embedded import kept

# Batches of tests are small: so that both ways in which rows get into a kept table are taken in any of them.
kept.AT_ONCE_ROWS = 3
