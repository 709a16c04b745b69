"""What looks like a credential: shapes of tokens and keys, places where tools keep passwords, and URLs. Pure."""
