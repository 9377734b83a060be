-- The accelerator of heartbeats: which Redis, as all services agree on it. `run` is the one that slips of leases are in,
-- empty while it is off; `epoch` counts its changes; `id` names this store in it. `license-core/src/store/accelerator.rs`
-- says why no seat is given twice.
CREATE TABLE accelerator (
    only_one  BOOLEAN     NOT NULL PRIMARY KEY DEFAULT true CHECK (only_one),
    id        TEXT        NOT NULL,
    epoch     BIGINT      NOT NULL,
    run       TEXT        NOT NULL,
    off_until TIMESTAMPTZ NOT NULL
);
INSERT INTO accelerator (id, epoch, run, off_until) VALUES (gen_random_uuid()::text, 0, '', 'epoch');

-- Says which Redis the caller is connected to, or with NULL that it reaches none and nobody may use one. Whoever finds
-- another one in use than its own switches off, for long enough that everybody sees it.
CREATE FUNCTION accelerate(mine TEXT, OUT id TEXT, OUT epoch BIGINT, OUT run TEXT, OUT now BIGINT, OUT off_ms BIGINT)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    a accelerator;
BEGIN
    SELECT * INTO a FROM accelerator;
    IF mine IS NULL OR (a.run <> '' AND a.run <> mine) THEN
        UPDATE accelerator c SET off_until = clock_timestamp() + interval '10 seconds',
            epoch = c.epoch + CASE WHEN c.run = '' THEN 0 ELSE 1 END, run = ''
            RETURNING * INTO a;
    ELSIF a.run = '' AND a.off_until < clock_timestamp() THEN
        UPDATE accelerator c SET epoch = c.epoch + 1, run = mine WHERE c.run = '' AND c.off_until < clock_timestamp();
        SELECT * INTO a FROM accelerator;
    END IF;
    id := a.id;
    epoch := a.epoch;
    run := a.run;
    now := now_ms();
    off_ms := greatest(0, (extract(epoch FROM a.off_until - clock_timestamp()) * 1000)::bigint);
END
$$;
GRANT SELECT ON accelerator TO license_core_app;
REVOKE ALL ON FUNCTION accelerate(TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION accelerate(TEXT) TO license_core_app;

-- What was in the accelerator before a restore is of another store.
CREATE FUNCTION accelerator_forgets() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE accelerator SET id = gen_random_uuid()::text, epoch = epoch + 1, run = '';
    RETURN NULL;
END
$$;
CREATE TRIGGER accelerator_forgets AFTER UPDATE ON memory FOR EACH ROW WHEN (NEW.name = 'held_until')
    EXECUTE FUNCTION accelerator_forgets();

-- A heartbeat that leases `ahead_ms` further than the holder is told, so that its next ones need no write. `term` is how
-- long the holder is told, `age_end` when the session ends at the latest, `lapse` when the license's term stops it.
CREATE FUNCTION heartbeat_ahead(tenant TEXT, session_id TEXT, holder_subject TEXT, away_ms BIGINT, ttl_ms BIGINT,
                                age_max_ms BIGINT, ahead_ms BIGINT, OUT kept session, OUT term BIGINT, OUT age_end BIGINT,
                                OUT lapse BIGINT)
    RETURNS SETOF RECORD LANGUAGE plpgsql AS $$
DECLARE
    at BIGINT := now_ms();
    l  RECORD;
BEGIN
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT coalesce(p.ttl_secs * 1000, ttl_ms) AS ttl, coalesce(p.age_max_secs * 1000, age_max_ms) AS age,
           CASE WHEN coalesce(p.expiry, 'restrict') = 'restrict' THEN c.expires_at END AS ends INTO l
        FROM session s JOIN license c ON c.tenant_id = s.tenant_id AND c.id = s.license_id
             JOIN tenant t ON t.id = s.tenant_id
             LEFT JOIN policy p ON p.tenant_id = c.tenant_id AND p.name = c.policy
        WHERE s.tenant_id = tenant AND s.id = session_id AND s.subject = holder_subject
          AND t.standing = 'active' AND c.standing = 'active'
          AND NOT EXISTS (SELECT FROM subject u
                          WHERE u.tenant_id = tenant AND u.id = holder_subject AND u.standing <> 'active')
          AND at - (SELECT m.value FROM memory m WHERE m.name = 'alive_at') <= away_ms;
    IF NOT FOUND OR l.ends <= at THEN
        RETURN;
    END IF;
    UPDATE session s
        SET last_heartbeat_at = at,
            expires_at = greatest(s.expires_at, least(at + l.ttl + ahead_ms, s.started_at + l.age))
        WHERE s.tenant_id = tenant AND s.id = session_id AND s.ended_at IS NULL AND s.expires_at > at
        RETURNING s.* INTO kept;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    term := l.ttl;
    age_end := greatest(kept.started_at + l.age, coalesce(kept.borrowed_until, 0));
    lapse := l.ends;
    RETURN NEXT;
END
$$;
