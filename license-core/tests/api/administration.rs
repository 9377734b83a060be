//! Administration over HTTP: by its roles alone, in the caller's tenant alone, and told in the audit trail by name.

use crate::harness::{Who, World, admin, on_both_stores, user};
use http::Method;
use serde_json::{Value, json};

on_both_stores! {
    nothing_is_administered_without_the_role,
    an_administrator_creates_changes_and_suspends_a_license,
    a_change_of_a_state_that_is_past_is_refused,
    lists_go_on_where_the_part_before_ended,
    products_and_entitlements_are_kept_per_tenant,
    a_suspended_user_gets_no_heartbeat_and_a_released_one_no_session,
    a_tenant_is_created_and_suspended_by_an_operator,
    a_seat_is_taken_back_by_force,
    reports_tell_use_peak_and_denials,
    the_audit_trail_names_who_did_it,
    validating_takes_no_seat_and_tells_the_reason,
    a_request_under_a_key_is_carried_out_once,
}

const OPERATOR: Who<'_> = Who { tenant: Some("acme"), subject: "root", role: "license-operator" };

async fn nothing_is_administered_without_the_role(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let id = &license.id;
    let member = user("acme", "anna");
    for (method, target, body) in [
        ("GET", "/api/v1/license", Value::Null),
        ("POST", "/api/v1/license", json!({"name": "n", "product": "p", "seats": 1})),
        ("PATCH", &format!("/api/v1/license/{id}"), json!({"seats": 5})),
        ("GET", &format!("/api/v1/license/{id}/usage"), Value::Null),
        ("GET", &format!("/api/v1/license/{id}/denials"), Value::Null),
        ("POST", &format!("/api/v1/license/{id}/release-all"), Value::Null),
        ("PUT", &format!("/api/v1/license/{id}/entitlements/x"), Value::Null),
        ("DELETE", &format!("/api/v1/license/{id}/entitlements/x"), Value::Null),
        ("POST", &format!("/api/v1/license/sessions/{id}/force-release"), Value::Null),
        ("GET", "/api/v1/license/sessions?user_id=ben", Value::Null),
        ("GET", "/api/v1/product", Value::Null),
        ("PUT", "/api/v1/product/Editor", json!({})),
        ("DELETE", "/api/v1/product/Editor", Value::Null),
        ("GET", "/api/v1/tenant", Value::Null),
        ("GET", "/api/v1/subject", Value::Null),
        ("PATCH", "/api/v1/subject/ben", json!({"status": "suspended"})),
        ("POST", "/api/v1/subject/ben/release-all", Value::Null),
        ("GET", "/api/v1/audit", Value::Null),
    ] {
        let refused = world.call(member, method, target, body.clone()).await;
        refused.refused(403, "insufficient_scope");
        // The role of another tenant opens nothing of this one.
        let other = world.call(admin("other"), method, target, body).await;
        assert!(!other.body.to_string().contains(id.as_str()), "{method} {target} {other:?}");
    }
    for method in ["PUT", "PATCH"] {
        let refused = world
            .call(admin("acme"), method, "/api/v1/tenant", json!({"status": "suspended"}))
            .await;
        refused.refused(403, "insufficient_scope");
    }
}

async fn an_administrator_creates_changes_and_suspends_a_license(world: World) {
    world.license("acme", "first", 1).await;
    let ada = admin("acme");
    let new = json!({"name": "editor", "product": "Editor", "seats": 1, "key_prefix": "ACME", "leasing": "per_user"});
    let made = world.call(ada, "POST", "/api/v1/licenses/", new.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (id, key) = (made.text("id").to_owned(), made.text("license_key").to_owned());
    assert!(key.starts_with("ACME-"));
    assert_eq!(made.body["leasing"], "per_user");
    world.call(ada, "POST", "/api/v1/license", new).await.refused(409, "name_taken");
    let anna = user("acme", "anna");
    assert_eq!(world.acquire(anna, &key, "hw").await.status, 201);
    world.acquire(user("acme", "ben"), &key, "hw").await.refused(409, "no_seats_available");
    let target = format!("/api/v1/license/{id}");
    let more = world.call(ada, "PATCH", &target, json!({"seats": 2})).await;
    assert_eq!((more.status.as_u16(), &more.body["seats_total"]), (200, &json!(2)), "{more:?}");
    assert_eq!(world.acquire(user("acme", "ben"), &key, "hw").await.status, 201);
    let ended = json!({"expires_at": "2027-01-15T08:00:00Z"});
    assert_eq!(world.call(ada, "PATCH", &target, ended).await.status, 200);
    world.acquire(anna, &key, "hw").await.refused(403, "license_expired");
    assert_eq!(world.call(ada, "PATCH", &target, json!({"expires_at": null})).await.status, 200);
    assert_eq!(world.acquire(anna, &key, "hw").await.status, 200);
    assert_eq!(world.call(ada, "PATCH", &target, json!({"status": "suspended"})).await.status, 200);
    world.acquire(anna, &key, "hw").await.refused(403, "license_suspended");
    for bad in [
        json!({"status": "gone"}),
        json!({"seats": -1}),
        json!({"other": 1}),
        json!({"expires_at": "soon"}),
    ] {
        world.call(ada, "PATCH", &target, bad).await.refused(400, "invalid_request");
    }
    let missing = "/api/v1/license/00000000-0000-7000-8000-000000000000";
    world
        .call(ada, "PATCH", missing, json!({"seats": 2}))
        .await
        .refused(403, "tenant_access_denied");
    world
        .call(admin("other"), "PATCH", &target, json!({"seats": 2}))
        .await
        .refused(403, "tenant_access_denied");
}

async fn a_change_of_a_state_that_is_past_is_refused(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let ada = admin("acme");
    let target = format!("/api/v1/license/{}", license.id);
    let shown = world.call(ada, "GET", &target, Value::Null).await;
    let tag = shown.headers["etag"].to_str().unwrap().to_owned();
    let conditional = |method: Method, header: &'static str, tag: &str, body: &str| {
        let mut request = world.request(ada, method, &target, body.as_bytes());
        request.headers_mut().insert(header, tag.parse().unwrap());
        request
    };
    let mut client = world.client().await;
    let same = client.send(conditional(Method::GET, "if-none-match", &tag, "")).await;
    assert_eq!((same.status.as_u16(), same.body.is_null()), (304, true));
    assert_eq!(same.headers["etag"].to_str().unwrap(), tag);
    let body = r#"{"seats":3}"#;
    assert_eq!(client.send(conditional(Method::PATCH, "if-match", &tag, body)).await.status, 200);
    client
        .send(conditional(Method::PATCH, "if-match", &tag, body))
        .await
        .refused(412, "precondition_failed");
    assert_eq!(client.send(conditional(Method::GET, "if-none-match", &tag, "")).await.status, 200);
    assert_eq!(client.send(conditional(Method::PATCH, "if-match", "*", body)).await.status, 200);
}

async fn lists_go_on_where_the_part_before_ended(world: World) {
    let license = world.license("acme", "editor", 10).await;
    for number in 0..5 {
        let answer = world
            .acquire(user("acme", &format!("u{number}")), &license.key, &format!("hw-{number}"))
            .await;
        assert_eq!(answer.status, 201);
    }
    let ada = admin("acme");
    let mut seen = vec![];
    let mut target = "/api/v1/license/sessions?limit=2".to_owned();
    loop {
        let part = world.call(ada, "GET", &target, Value::Null).await;
        assert_eq!(part.status, 200, "{part:?}");
        let items = part.body["items"].as_array().unwrap();
        assert!((1..=2).contains(&items.len()), "{part:?}");
        seen.extend(items.iter().map(|item| item["user_id"].as_str().unwrap().to_owned()));
        match part.body["next_cursor"].as_str() {
            Some(cursor) => target = format!("/api/v1/license/sessions?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["u0", "u1", "u2", "u3", "u4"]);
    let own = world.call(user("acme", "u3"), "GET", "/api/v1/license/sessions", Value::Null).await;
    assert_eq!(own.body["items"].as_array().unwrap().len(), 1);
    let id = own.body["items"][0]["id"].as_str().unwrap();
    let target = format!("/api/v1/license/sessions/{id}");
    world
        .call(user("acme", "u4"), "GET", &target, Value::Null)
        .await
        .refused(403, "tenant_access_denied");
    assert_eq!(world.call(ada, "GET", &target, Value::Null).await.status, 200);
    let filtered = world.call(ada, "GET", "/api/v1/license/sessions?user_id=u1", Value::Null).await;
    assert_eq!(filtered.body["items"].as_array().unwrap().len(), 1);
    for bad in
        ["limit=0", "limit=1001", "limit=x", "cursor=%25", "cursor=AA", "other=1", "license_id=7"]
    {
        let target = format!("/api/v1/license/sessions?{bad}");
        world.call(ada, "GET", &target, Value::Null).await.refused(400, "invalid_request");
    }
    for target in ["/api/v1/license?limit=1", "/api/v1/licenses/?limit=1000"] {
        let licenses = world.call(ada, "GET", target, Value::Null).await;
        assert_eq!(licenses.body["items"][0]["seats_used"], 5, "{licenses:?}");
    }
}

async fn products_and_entitlements_are_kept_per_tenant(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let ada = admin("acme");
    let put = json!({"description": "The editor"});
    assert_eq!(world.call(ada, "PUT", "/api/v1/product/Editor", put.clone()).await.status, 201);
    assert_eq!(world.call(ada, "PUT", "/api/v1/product/Editor", put).await.status, 200);
    let shown = world.call(ada, "GET", "/api/v1/products/Editor/", Value::Null).await;
    assert_eq!(shown.text("description"), "The editor");
    world.call(ada, "DELETE", "/api/v1/product/Editor", Value::Null).await.refused(409, "in_use");
    assert_eq!(world.call(ada, "PUT", "/api/v1/product/Viewer", json!({})).await.status, 201);
    assert_eq!(
        world.call(ada, "GET", "/api/v1/product", Value::Null).await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(world.call(ada, "DELETE", "/api/v1/product/Viewer", Value::Null).await.status, 204);
    world
        .call(ada, "DELETE", "/api/v1/product/Viewer", Value::Null)
        .await
        .refused(404, "not_found");

    let target = format!("/api/v1/license/{}/entitlements", license.id);
    for name in ["export", "dark%20mode", "export"] {
        assert_eq!(
            world.call(ada, "PUT", &format!("{target}/{name}"), Value::Null).await.status,
            204
        );
    }
    let names = world.call(user("acme", "anna"), "GET", &target, Value::Null).await;
    assert_eq!(names.body["items"], json!(["dark mode", "export"]));
    assert_eq!(
        world.call(ada, "DELETE", &format!("{target}/export"), Value::Null).await.status,
        204
    );
    let names = world.call(ada, "GET", &target, Value::Null).await;
    assert_eq!(names.body["items"], json!(["dark mode"]));
    world
        .call(admin("other"), "PUT", &format!("{target}/x"), Value::Null)
        .await
        .refused(403, "tenant_access_denied");
}

async fn a_suspended_user_gets_no_heartbeat_and_a_released_one_no_session(world: World) {
    let license = world.license("acme", "editor", 5).await;
    let (ada, anna) = (admin("acme"), user("acme", "anna"));
    let held = world.acquire(anna, &license.key, "a").await;
    world.acquire(anna, &license.key, "b").await;
    let target = "/api/v1/subject/anna";
    assert_eq!(world.call(ada, "GET", target, Value::Null).await.body["status"], "active");
    let suspended = world.call(ada, "PATCH", target, json!({"status": "suspended"})).await;
    assert_eq!(suspended.body["status"], "suspended");
    world.heartbeat(anna, held.text("id")).await.refused(403, "subject_suspended");
    let released = world.call(ada, "POST", "/api/v1/subject/anna/release-all", Value::Null).await;
    assert_eq!(released.body["released"], 2);
    world.call(ada, "PATCH", target, json!({"status": "active"})).await;
    world.heartbeat(anna, held.text("id")).await.refused(410, "session_revoked");
    let listed = world.call(ada, "GET", "/api/v1/subjects", Value::Null).await;
    assert_eq!(listed.body["items"], json!([{"id": "anna", "status": "active"}]));
    world
        .call(ada, "PATCH", target, json!({"status": "revoked"}))
        .await
        .refused(400, "invalid_request");
}

async fn a_tenant_is_created_and_suspended_by_an_operator(world: World) {
    let target = "/api/v1/tenant";
    assert_eq!(world.call(OPERATOR, "PUT", target, Value::Null).await.status, 201);
    assert_eq!(world.call(OPERATOR, "PUT", target, Value::Null).await.status, 200);
    let license = world.license("acme", "editor", 2).await;
    world.acquire(user("acme", "anna"), &license.key, "a").await;
    let shown = world.call(admin("acme"), "GET", target, Value::Null).await;
    assert_eq!((&shown.body["seats_total"], &shown.body["seats_used"]), (&json!(2), &json!(1)));
    let gone = world.call(OPERATOR, "PATCH", target, json!({"status": "suspended"})).await;
    assert_eq!(gone.body["status"], "suspended");
    world.acquire(user("acme", "ben"), &license.key, "b").await.refused(403, "tenant_suspended");
    world.call(OPERATOR, "PATCH", target, json!({"status": "active"})).await;
    assert_eq!(world.acquire(user("acme", "ben"), &license.key, "b").await.status, 201);
    world
        .call(admin("nobody"), "GET", target, Value::Null)
        .await
        .refused(403, "tenant_access_denied");
}

async fn a_seat_is_taken_back_by_force(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (ada, anna) = (admin("acme"), user("acme", "anna"));
    let held = world.acquire(anna, &license.key, "a").await;
    let target = format!("/api/v1/license/sessions/{}/force-release", held.text("id"));
    world
        .call(admin("other"), "POST", &target, Value::Null)
        .await
        .refused(403, "tenant_access_denied");
    assert_eq!(world.call(ada, "POST", &target, Value::Null).await.status, 204);
    world.call(ada, "POST", &target, Value::Null).await.refused(410, "session_revoked");
    world.heartbeat(anna, held.text("id")).await.refused(410, "session_revoked");
    assert_eq!(world.acquire(user("acme", "ben"), &license.key, "b").await.status, 201);
    let released = world
        .call(ada, "POST", &format!("/api/v1/license/{}/release-all", license.id), Value::Null)
        .await;
    assert_eq!(released.body["released"], 1);
}

async fn reports_tell_use_peak_and_denials(world: World) {
    let license = world.license("acme", "editor", 2).await;
    let ada = admin("acme");
    let held = world.acquire(user("acme", "anna"), &license.key, "a").await;
    world.acquire(user("acme", "ben"), &license.key, "b").await;
    for _ in 0..3 {
        world
            .acquire(user("acme", "cleo"), &license.key, "c")
            .await
            .refused(409, "no_seats_available");
    }
    world.advance_secs(1).await;
    world.release(user("acme", "anna"), held.text("id")).await;
    world.advance_secs(59).await;
    let usage =
        world.call(ada, "GET", &format!("/api/v1/license/{}/usage", license.id), Value::Null).await;
    assert_eq!(usage.status, 200, "{usage:?}");
    for (field, value) in [
        ("seats_total", 2),
        ("seats_used", 1),
        ("peak_sessions", 2),
        ("sessions_started", 2),
        ("denied", 3),
        ("suggested_seats", 3),
    ] {
        assert_eq!(usage.body[field], value, "{field} {usage:?}");
    }
    let before = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z";
    let none = world
        .call(ada, "GET", &format!("/api/v1/license/{}/usage?{before}", license.id), Value::Null)
        .await;
    assert_eq!(
        (&none.body["peak_sessions"], &none.body["denied"]),
        (&json!(0), &json!(0)),
        "{none:?}"
    );
    for bad in
        ["from=2027-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", "from=x", "from=2020-01-01T00:00:00Z"]
    {
        let target = format!("/api/v1/license/{}/usage?{bad}", license.id);
        world.call(ada, "GET", &target, Value::Null).await.refused(400, "invalid_request");
    }
    let denials = world
        .call(ada, "GET", &format!("/api/v1/license/{}/denials", license.id), Value::Null)
        .await;
    assert_eq!(
        denials.body["items"],
        json!([{"hour": "2027-01-15T08:00:00.000Z", "code": "no_seats_available", "times": 3}])
    );
    let holders = world
        .call(
            ada,
            "GET",
            &format!("/api/v1/license/sessions?license_id={}", license.id),
            Value::Null,
        )
        .await;
    assert_eq!(holders.body["items"][0]["idle_secs"], 60);
}

async fn the_audit_trail_names_who_did_it(mut world: World) {
    let license = world.license("acme", "editor", 2).await;
    let ada = admin("acme");
    world.call(ada, "PATCH", &format!("/api/v1/license/{}", license.id), json!({"seats": 3})).await;
    world.call(ada, "PATCH", "/api/v1/subject/anna", json!({"status": "suspended"})).await;
    // Events are linked within seconds; a service that starts does it at once.
    world.stop().await;
    world.start().await;
    let mut found = vec![];
    for _ in 0..600 {
        let trail = world.call(ada, "GET", "/api/v1/audit?limit=100", Value::Null).await;
        found = trail.body["items"].as_array().unwrap().clone();
        if found.len() == 4 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let told: Vec<_> = found
        .iter()
        .map(|event| (event["kind"].as_str().unwrap(), event["actor"].as_str().unwrap()))
        .collect();
    let story = [
        ("tenant.created", "operator"),
        ("license.created", "operator"),
        ("license.changed", "ada"),
        ("subject.suspended", "ada"),
    ];
    assert_eq!(told, story);
    let part = world.call(ada, "GET", "/api/v1/audit?limit=3", Value::Null).await;
    let cursor = part.text("next_cursor");
    let rest = world
        .call(ada, "GET", &format!("/api/v1/audit?limit=3&cursor={cursor}"), Value::Null)
        .await;
    assert_eq!(rest.body["items"].as_array().unwrap().len(), 1);
}

async fn validating_takes_no_seat_and_tells_the_reason(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (ada, anna) = (admin("acme"), user("acme", "anna"));
    let entitled = format!("/api/v1/license/{}/entitlements/export", license.id);
    world.call(ada, "PUT", &entitled, Value::Null).await;
    let ask = |more: Value| {
        let mut body = json!({"license_key": license.key.as_str()});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.call(anna, "POST", "/api/v1/license/validate", body)
    };
    let good = ask(json!({"entitlements": ["export"], "product": "Editor"})).await;
    assert_eq!((&good.body["valid"], good.text("code")), (&json!(true), "valid"), "{good:?}");
    assert_eq!(good.body["license"]["seats_used"], 0);
    let lacking = ask(json!({"entitlements": ["export", "sso"]})).await;
    assert_eq!(
        (lacking.text("code"), &lacking.body["missing_entitlements"]),
        ("entitlements_missing", &json!(["sso"]))
    );
    assert_eq!(ask(json!({"product": "Viewer"})).await.text("code"), "product_mismatch");
    world
        .call(
            ada,
            "PATCH",
            &format!("/api/v1/license/{}", license.id),
            json!({"status": "suspended"}),
        )
        .await;
    let bad = ask(json!({})).await;
    assert_eq!(
        (bad.status.as_u16(), &bad.body["valid"], bad.text("code")),
        (200, &json!(false), "license_suspended")
    );
    let body = json!({"license_key": license.key.as_str()});
    world
        .call(user("other", "x"), "POST", "/api/v1/license/validate", body)
        .await
        .refused(403, "tenant_access_denied");
    world
        .call(anna, "POST", "/api/v1/license/validate", json!({"license_key": "x"}))
        .await
        .refused(400, "invalid_license_key");
}

async fn a_request_under_a_key_is_carried_out_once(world: World) {
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let ask = |key: &'static str, hardware: &str| {
        let body =
            json!({"license_key": license.key.as_str(), "hardware_id": hardware}).to_string();
        let mut request =
            world.request(anna, Method::POST, "/api/v1/licenses/acquire/", body.as_bytes());
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let mut client = world.client().await;
    let first = client.send(ask("one", "a")).await;
    assert_eq!(first.status, 201, "{first:?}");
    world.release(anna, first.text("id")).await;
    // Without the key this would be a new session.
    let again = client.send(ask("one", "a")).await;
    assert_eq!((again.status.as_u16(), again.text("id")), (201, first.text("id")));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    client.send(ask("one", "b")).await.refused(422, "idempotency_mismatch");
    // A refusal leaves the key free.
    client.send(ask("two", "not a machine")).await.refused(400, "invalid_request");
    assert_eq!(client.send(ask("two", "c")).await.status, 201);
    client.send(ask("", "a")).await.refused(400, "invalid_request");
    // After a day the key is free again; the service sweeps it.
    world.advance_secs(86_401).await;
    let later = client.send(ask("one", "a")).await;
    assert_ne!(later.text("id"), first.text("id"));
    let mut other = world.request(
        admin("acme"),
        Method::POST,
        &format!("/api/v1/license/{}/release-all", license.id),
        b"",
    );
    other.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    client.send(other).await.refused(400, "invalid_request");
}
