"""Whether a machine has what a lock asks of it, before anything runs: its GPUs, and conda's virtual packages. Pure."""
