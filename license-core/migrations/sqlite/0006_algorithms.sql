-- Signing keys of two kinds: Ed25519 for what is signed often, RSA-4096 with SHA-512 for license files. `public` of an
-- RSA key is its modulus; the exponent is 65537.
ALTER TABLE signing_key ADD COLUMN algorithm TEXT NOT NULL DEFAULT 'EdDSA';
