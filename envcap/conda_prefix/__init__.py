"""The conda packages of a live prefix, as a snapshot and a check see them.

`complete` adds what their records lack, `links` where their symlinks led, `capture` keeps what no channel gives, and
`drift` compares with a lock. What a package, an archive or a channel is says `envcap.conda`.
"""
