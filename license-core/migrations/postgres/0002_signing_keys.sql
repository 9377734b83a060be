-- The service's signing keys, no tenant's. `sealed` is the private key under the wrapping key, which is not in the
-- database. A key's state follows from these times and the present one.
CREATE TABLE signing_key (
    generation BIGINT NOT NULL PRIMARY KEY,
    kid        TEXT   COLLATE "C" NOT NULL UNIQUE,
    public     BYTEA  NOT NULL,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    active_at  BIGINT NOT NULL,
    revoked_at BIGINT
);
GRANT SELECT, INSERT ON signing_key TO license_core_app;
GRANT UPDATE (revoked_at) ON signing_key TO license_core_app;
