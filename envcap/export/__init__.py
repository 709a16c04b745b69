"""A lock in the formats of other tools: generated on request, never read back as truth. Pure: text in a value."""
