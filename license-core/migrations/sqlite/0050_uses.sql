-- What a signing key is for: `receipts` or `files`, of any algorithm. NULL in rows of a program before this one, whose
-- algorithm said it: EdDSA for receipts, RS512 for files.
ALTER TABLE signing_key ADD COLUMN usage TEXT CHECK (usage IN ('receipts', 'files'));
