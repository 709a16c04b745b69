// Verify sigstore bundles by key with @sigstore/verify: node sigstore_verify.js < {"key": PEM, "bundles": [...]}.
const { bundleFromJSON } = require("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");
const { createPublicKey } = require("node:crypto");

const { hint, pem, bundles } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const roots = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const keys = { [hint]: { rawBytes: createPublicKey(pem).export({ type: "spki", format: "der" }) } };
const verifier = new Verifier(toTrustMaterial(roots, keys), { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 });
const answers = bundles.map((bundle) => {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(bundle)));
    return "good";
  } catch (error) {
    return `${error.code}`;
  }
});
console.log(JSON.stringify(answers));
