"""A client of OCI registries: streaming, and believing nothing that it has not hashed.

`reference` names what is asked for, `settings` and `credentials` hold what this machine's configuration says,
`connection` asks one registry, `manifests`, `download`, `upload` and `referrers` are what can be asked, and `transfer`
moves whole images. Source: OCI distribution-spec 1.1, image-spec 1.1.
"""
