"""Turn a lock into the entries, layers and configuration of an image."""
