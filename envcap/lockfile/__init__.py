"""The lockfile: its values, its one writer and its strict reader."""
