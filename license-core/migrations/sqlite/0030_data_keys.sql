-- The keys that personal columns are sealed under, each sealed itself under a key that is not in the database.
CREATE TABLE data_key (
    generation INTEGER NOT NULL PRIMARY KEY,
    sealed     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
