"""One file that outlives its sources: a lock and all that it pins, as the tar of an OCI layout.

```
oci-layout, index.json       OCI image-spec, image-layout.md
blobs/sha256/…               the lock's manifest, `{}`, the lock, and every artifact; the image, if it was asked for
manifest.json                docker's own list, beside an image
```

The lock's manifest is an artifact of type `application/vnd.envcap.lock.v1` (OCI image-spec 1.1, manifest.md,
"Guidelines for Artifact Usage"): an empty config, the lock as first layer, and each pinned file as another with its
media type and title. `envcap.bundle.contents` says what is in one, `write` writes and `read` reads it.
"""
