-- The service's signing keys. `sealed` is the private key under the wrapping key, which is not in the database. A
-- key's state follows from these times and the present one.
CREATE TABLE signing_key (
    generation INTEGER NOT NULL PRIMARY KEY,
    kid        TEXT    NOT NULL UNIQUE,
    public     BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    active_at  INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
