"""`snapshot`: a live environment to a lock whose image ID was computed from the live files.

`take` is the verb. `gpu` locks what is there for GPUs, `secrets` refuses to keep credentials, `taint` finds whom edits
reached besides.
"""
