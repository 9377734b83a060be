use super::*;

#[test]
fn times_are_written_as_the_calendar_has_them() {
    for (secs, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_799, "2000-02-29T23:59:59.000Z"),
        (1_764_504_000, "2025-11-30T12:00:00.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000Z"),
    ] {
        assert_eq!(rfc3339(Timestamp::from_secs(secs)), expected);
        assert_eq!(millis(expected), Some(secs * 1000));
    }
    assert_eq!(millis("1970-01-01T00:00:01.007Z"), Some(1_007));
    for bent in
        ["", "2026", "2026-02-30T00:00:00.000Z", "1969-12-31T23:59:59.000Z", "1970-01-01T00:00:00Z"]
    {
        assert_eq!(millis(bent), None, "{bent}");
    }
    assert_eq!(rfc3339(Timestamp::from_millis(1_007)), "1970-01-01T00:00:01.007Z");
}

#[test]
fn the_first_seeds_fields_keep_their_names() {
    let at = Timestamp::from_secs(1_764_504_000);
    let mut event =
        Event::new("e-1", Category::SqlInjection, Some("::ffff:1.2.3.4".parse().unwrap()), at);
    event.actor.subject = Some("u-1".to_owned());
    event.actor.tenant = Some("t-1".to_owned());
    event.method = "POST".to_owned();
    event.path = "/api/v1/license/acquire".to_owned();
    event.payload = b"' OR 1=1--".to_vec();
    event.status = 403;
    event.taken = Taken::Blocked;
    let placed = Placed {
        incident_id: Some("INC-2025-11-30-001".to_owned()),
        dedup_key: Some("k".to_owned()),
        priority: None,
        response: Some(("RATE_LIMIT_APPLIED", 3600)),
    };
    let json = event.to_json(&placed);
    for (pointer, expected) in [
        ("/timestamp", json!("2025-11-30T12:00:00.000Z")),
        ("/severity", json!("WARNING")),
        ("/priority", json!("P2")),
        ("/event_type", json!("SECURITY_INCIDENT")),
        ("/type", json!("sql_injection")),
        ("/incident_id", json!("INC-2025-11-30-001")),
        ("/category", json!("SQL_INJECTION")),
        ("/source_ip", json!("1.2.3.4")),
        ("/user_id", json!("u-1")),
        ("/tenant_id", json!("t-1")),
        ("/request/method", json!("POST")),
        ("/request/path", json!("/api/v1/license/acquire")),
        ("/request/payload", json!("' OR 1=1--")),
        ("/response/status_code", json!(403)),
        ("/response/action", json!("BLOCKED")),
        ("/automated_response/action", json!("RATE_LIMIT_APPLIED")),
        ("/automated_response/duration", json!(3600)),
        ("/tags", json!(["security", "attack", "sql_injection"])),
    ] {
        assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}");
    }
}

#[test]
fn a_breach_and_a_journey_say_from_where_to_where() {
    let at = Timestamp::from_secs(1);
    let mut event = Event::new("e", Category::TenantBreach, None, at);
    event.actor.tenant = Some("own".to_owned());
    event.breach = Some(Breach { attempted_tenant: Some("other".to_owned()), ..Breach::default() });
    event.travel = Some(("FR".to_owned(), "JP".to_owned()));
    let json = event.to_json(&Placed::default());
    assert_eq!(json["user_tenant"], "own");
    assert_eq!(json["attempted_tenant"], "other");
    assert_eq!(json["last_location"], "FR");
    assert_eq!(json["current_location"], "JP");
    assert_eq!(json["severity"], "CRITICAL");
    assert_eq!(json.get("incident_id"), None, "what is not known is not there");
}
