-- Signing keys of two kinds: Ed25519 for what is signed often, RSA-4096 with SHA-512 for license files. `public` of an
-- RSA key is its modulus; the exponent is 65537.
ALTER TABLE signing_key ADD COLUMN algorithm TEXT NOT NULL DEFAULT 'EdDSA';

-- Counts, over all tenants, the live leases and the borrow tokens in use that were signed within a time.
CREATE FUNCTION stranded(signed_from BIGINT, signed_to BIGINT, OUT receipts BIGINT, OUT tokens BIGINT)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT (SELECT count(*) FROM session s WHERE s.ended_at IS NULL AND s.expires_at > now_ms()
            AND s.last_heartbeat_at >= signed_from AND s.last_heartbeat_at < signed_to),
           (SELECT count(*) FROM session s WHERE s.ended_at IS NULL AND s.borrowed_until > now_ms()
            AND EXISTS (SELECT FROM audit_event e WHERE e.tenant_id = s.tenant_id AND e.session_id = s.id
                        AND e.kind = 'seat.borrowed' AND e.at >= signed_from AND e.at < signed_to))
$$;
REVOKE ALL ON FUNCTION stranded(BIGINT, BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION stranded(BIGINT, BIGINT) TO license_core_app;
