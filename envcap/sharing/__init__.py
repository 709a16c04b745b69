"""Locks in a registry: published with their bytes, images and attestations, found again, and used from there.

    registry.example.org/lab/ml:2026-11           the image, as `docker pull` takes it; the lock, if there is no image
    ├── application/vnd.envcap.lock.v1            the lock and the bytes kept with it; its `subject` is the image
    ├── …sigstore.bundle.v0.3+json                signatures and rebuilds; their `subject` is what the tag names
    └── :2026-11.envcap                           a tag of the lock that this tag means, should an image have several

`artifact` says what is stored, `publish` stores it, `find` finds it, `held` gives its bytes to a rebuild, `history`
lists it. Everything is deterministic: who publishes the same lock makes the same digests.
Source: OCI image-spec 1.1, manifest.md ("Guidelines for Artifact Usage"); distribution-spec 1.1, "Listing Referrers".
"""
