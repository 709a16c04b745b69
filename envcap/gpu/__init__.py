"""GPU stacks: what code needs, what machines have, and whether the one runs on the other. No effects, no device."""
