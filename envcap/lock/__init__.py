"""Locking: from what is there to where each byte comes from, with its hash."""
