"""What looks like a credential: shapes of tokens and keys, and the places where tools keep passwords. Pure."""
