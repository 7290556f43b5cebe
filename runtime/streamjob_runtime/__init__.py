"""The runtime: the process that runs one StreamJob."""
