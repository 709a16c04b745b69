"""The strict readers: one per archive kind, each yielding validated members and nothing that reaches the disk by name.

Every archive is hostile until read to its end. What a reader can't prove harmless and unambiguous it refuses with an
`ArchiveError` that says what, where, expected and found. No reader ever extracts: bytes are streamed, or spooled into
one anonymous file.
"""
