//! What is done about incidents: carried out, ended, taken back, and survived.

use portcullis_incident::event::{Actor, Breach, Taken};
use portcullis_incident::{Category, Event};
use portcullis_tests::{Answer, Edge, LicenseHome, Way};
use serde_json::json;

use super::*;

fn timeline(home: &Path, id: &str) -> String {
    operate(home, &["incidents", "show", id])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_of_injections_is_limited_until_an_operator_takes_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let edge = prepare(home, &origin, "incidents: { limited_to: 3 }\n");
    assert_eq!(curl(home, &edge, SQLI), "403");
    let id = incident(home, "SQL_INJECTION", 1)["id"].as_str().unwrap().to_owned();
    until("the response", || timeline(home, &id).contains("  limit 127.0.0.1 until").then_some(()));
    let statuses: Vec<_> = (0..5).map(|_| curl(home, &edge, "/")).collect();
    assert_eq!(statuses, ["200", "200", "200", "429", "429"]);
    let audit = || std::fs::read_to_string(home.join("state/audit.jsonl")).unwrap();
    assert!(audit().contains(&format!("\"actor\":\"incident:{id}\"")), "{}", audit());

    // Killed and started again it is limited as before; its counts begin anew.
    drop(edge);
    let edge = serve(home);
    let statuses: Vec<_> = (0..4).map(|_| curl(home, &edge, "/")).collect();
    assert_eq!(statuses, ["200", "200", "200", "429"]);

    let said = operate(home, &["incidents", "undo", &id, "--reason", "our own scanner"]);
    assert!(said.contains("undone: limit 127.0.0.1") && said.contains("our own"), "{said}");
    assert!(said.contains("limit 127.0.0.1 (undone, until"), "{said}");
    assert_eq!(curl(home, &edge, "/"), "200");
    assert!(refused(home, &["incidents", "undo", &id]).contains("nothing to take back"));
    assert!(audit().contains("undo: limit 127.0.0.1"), "{}", audit());

    // What an operator took back is not done again, also by the next process.
    drop(edge);
    let edge = serve(home);
    assert_eq!(curl(home, &edge, SQLI), "403");
    incident(home, "SQL_INJECTION", 2);
    let statuses: Vec<_> = (0..5).map(|_| curl(home, &edge, "/")).collect();
    assert_eq!(statuses, ["200"; 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_it_would_do_and_the_allow_list_goes_first() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let edge = prepare(home, &origin, "incidents: { limited_to: 1, dry_run: true }\n");
    assert_eq!(curl(home, &edge, SQLI), "403");
    let id = incident(home, "SQL_INJECTION", 1)["id"].as_str().unwrap().to_owned();
    until("the words", || timeline(home, &id).contains("would: limit 127.0.0.1").then_some(()));
    assert_eq!((curl(home, &edge, "/"), curl(home, &edge, "/")), ("200".into(), "200".into()));
    drop(edge);
    std::fs::remove_file(home.join("state/incidents.redb")).unwrap();
    let edge = prepare(home, &origin, "incidents: { limited_to: 1 }\n");
    operate(home, &["allow", "add", "127.0.0.1"]);
    assert_eq!(curl(home, &edge, SQLI), "403");
    let id = incident(home, "SQL_INJECTION", 1)["id"].as_str().unwrap().to_owned();
    let words = "not done: limit 127.0.0.1 (allowed)";
    until("the words", || timeline(home, &id).contains(words).then_some(()));
    assert_eq!((curl(home, &edge, "/"), curl(home, &edge, "/")), ("200".into(), "200".into()));
}

/// A rule that is being tried counts as soon as it matches what another one refuses, for as long as the response holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_in_preview_that_matched_an_attack_is_put_into_force_for_a_time() {
    let origin = Origin::start().await;
    let tried = "  - priority: 15\n    action: deny(404)\n    preview: true\n    match: { expr: { expression: \"request.path == '/tried'\" } }\n  - priority: 20\n";
    let text = policy("/never").replace("  - priority: 20\n", tried);
    let edge = Edge::builder(&origin)
        .policy(&text)
        .top("incidents: { responses: [{ category: SQL_INJECTION, actions: [enforce] }] }")
        .start()
        .await;
    assert_eq!(edge.get("/tried").await.status, 200, "it is being tried");
    assert_eq!(edge.get(&SQLI.replace("/?", "/tried?")).await.status, 403);
    until("the response", || {
        edge.shared().events.flush();
        let incidents = edge.incidents();
        let mut lines = incidents.iter().flat_map(|one| &one.timeline);
        lines.any(|one| one.what.starts_with("enforce the preview rule tested/15")).then_some(())
    });
    assert_eq!(edge.get("/tried").await.status, 403);
    assert_eq!(edge.get("/").await.status, 200, "nothing else is touched");
    edge.advance(Duration::from_secs(3601));
    assert_eq!(edge.get("/tried").await.status, 200, "in preview again");
}

fn breach(edge: &Edge, object: &str) -> Event {
    Event {
        actor: Actor {
            subject: Some("mallory".to_owned()),
            tenant: Some("acme".to_owned()),
            provider: Some("dev".to_owned()),
            ..Actor::default()
        },
        taken: Taken::Blocked,
        breach: Some(Breach {
            attempted_tenant: Some("other".to_owned()),
            object: object.to_owned(),
            exists: true,
            is_cross_site: false,
        }),
        ..Event::new(
            "",
            Category::TenantBreach,
            Some([198, 51, 100, 7].into()),
            edge.shared().clock.now(),
        )
    }
}

/// The seed's third answer, with the license service in this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_into_another_tenant_is_suspended_and_works_again_an_hour_later() {
    let home = LicenseHome::new();
    let origin = Origin::start().await;
    let route = "{ path: /, backend: origin, identity: { any: [dev] }, body: { limit: 1MiB, inspect: 1MiB, oversize: deny } }";
    let builder =
        Edge::builder(&origin).server(&home.server()).backend("assertion: true, no_store: true");
    let builder = builder.top("incidents: { dry_run: false }");
    let edge = builder.routes(&[route]).start().await;
    let license = home.start(Way::Embedded, &edge, "acme", 3).await;
    let acquire = async |subject: &str| -> Answer {
        let body = json!({ "license_key": license.key, "hardware_id": subject }).to_string();
        let token = edge.token(subject, "acme");
        let head = format!(
            "POST /api/v1/license/acquire HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        edge.client().await.ask(head + &body).await
    };
    assert_eq!(acquire("mallory").await.status, 201);
    assert_eq!(acquire("alice").await.status, 201);
    edge.shared().events.raise(breach(&edge, "license-1"));
    edge.shared().events.raise(breach(&edge, "license-1"));
    edge.shared().events.flush();
    assert_eq!(acquire("mallory").await.status, 200, "one object may be an accident");
    for object in ["license-2", "license-3"] {
        edge.shared().events.raise(breach(&edge, object));
    }
    let about = |words: &'static str| {
        until(words, || {
            edge.shared().events.flush();
            let incidents = edge.incidents();
            let lines = incidents.iter().flat_map(|one| &one.timeline);
            lines.map(|one| one.what.clone()).find(|what| what.starts_with(words))
        })
    };
    let released = about("release sessions of user:mallory");
    assert!(released.ends_with("(1 sessions)"), "{released}");
    about("suspend user:mallory until");
    about("revoke tokens of user:mallory until");
    let incident = edge.incidents().remove(0);
    assert_eq!((incident.priority.as_str(), incident.tenants.len()), ("P0", 2));

    let refused = acquire("mallory").await;
    assert!(matches!(refused.status, 401 | 429), "{refused:?}");
    assert_eq!(acquire("alice").await.status, 200, "nobody else is touched");
    let evidence = edge.directory().join("evidence");
    let bundle = std::fs::read(evidence.join(format!("{}.json", incident.id))).unwrap();
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    assert_eq!(bundle["incident"]["id"], incident.id.as_str());
    assert!(!bundle["events"].as_array().unwrap().is_empty());
    assert!(bundle["configuration"]["fingerprint"].is_string());
    assert!(bundle["metrics"].as_str().unwrap().contains("security_events_total"));
    assert!(evidence.join(format!("{}.license.db", incident.id)).exists());

    edge.advance(Duration::from_secs(3601));
    about("ended: suspend user:mallory");
    about("ended: revoke tokens of user:mallory");
    let again = acquire("mallory").await;
    assert_eq!(again.status, 201, "a seat of its own again: {:?}", again.json());
}

/// What an operator may choose for a flood: a TLS library is refused, a route is closed, and both end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_may_close_its_route_and_have_its_tls_library_refused_for_a_time() {
    for (action, words, status) in [
        ("ban_fingerprint", "ban fingerprint:", 429),
        ("lockdown", "lock down edge.test/ until", 503),
    ] {
        let origin = Origin::start().await;
        let top = format!(
            "incidents: {{ dry_run: false, responses: [{{ category: DDOS, actions: [{action}] }}] }}"
        );
        let edge = Edge::builder(&origin).top(&top).start().await;
        assert_eq!(edge.get("/").await.status, 200);
        let place = "/jsonPayload/securityPolicyRequestData/tlsJa4Fingerprint";
        let log = edge.logged(1).await;
        let print = log[0].pointer(place).and_then(Value::as_str).map(str::to_owned);
        let now = edge.shared().clock.now();
        let mut flood = Event::new("", Category::Ddos, Some([192, 0, 2, 9].into()), now);
        flood.actor.fingerprint = Some(print.expect("a fingerprint"));
        flood.route = "edge.test/".to_owned();
        edge.shared().events.raise(flood);
        let line = until(words, || {
            edge.shared().events.flush();
            let incidents = edge.incidents();
            let lines = incidents.iter().flat_map(|one| &one.timeline);
            lines.map(|line| line.what.clone()).find(|what| what.starts_with(words))
        });
        assert!(line.contains("until"), "{line}");
        assert_eq!(edge.get("/").await.status, status, "{action}");
        edge.advance(Duration::from_secs(3601));
        until("its end", || {
            edge.shared().events.flush();
            let incidents = edge.incidents();
            let mut lines = incidents.iter().flat_map(|one| &one.timeline);
            lines.any(|line| line.what.starts_with("ended: ")).then_some(())
        });
        assert_eq!(edge.get("/").await.status, 200, "{action} is over");
    }
}
