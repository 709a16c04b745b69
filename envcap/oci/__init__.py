"""OCI images: values and formats. Knows nothing of Python environments."""
