"""What a wheel's members become once installed: paths by scheme, and scripts. Pure."""
