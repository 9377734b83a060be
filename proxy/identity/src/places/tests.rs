use portcullis_config::model::{ClaimPath, IdPlaces, PathTemplate};

use super::*;

fn texts(found: Vec<Named>) -> Vec<String> {
    let text = |one: Named| format!("{}={}", one.place, String::from_utf8(one.id).unwrap());
    found.into_iter().map(text).collect()
}

#[test]
fn every_reading_of_a_head_is_found() {
    let places = IdPlaces {
        host: true,
        path: PathTemplate::parse("/api/*/tenants/{id}"),
        query: Some("tenant_id".to_owned()),
        header: Some("x-org-id".to_owned()),
        body: None,
    };
    for (path, resolved, query, expected) in [
        ("/", "/", "", vec![]),
        ("/api/v1/tenants/b", "/api/v1/tenants/b", "", vec!["path=b", "path=b"]),
        ("/api/v1/tenants/b/seats", "/x", "", vec!["path=b"]),
        ("/api//v1/tenants/b", "/api/v1/tenants/b", "", vec!["path=b"]),
        ("/api/v1/%74enants/%62", "/x", "", vec!["path=b"]),
        ("/api/v1/tenants/b;x=1", "/x", "", vec!["path=b;x=1", "path=b"]),
        ("/api/v1/tenants/", "/api/v1/tenants", "", vec![]),
        ("/api/v1/tenant/b", "/", "", vec![]),
        ("/", "/", "tenant_id=b&a=c", vec!["query=b"]),
        (
            "/",
            "/",
            "Tenant-Id=b&tenant%5Fid=c;tenant_id[]=d+e",
            vec!["query=b", "query=c", "query=d e"],
        ),
        ("/", "/", "tenant_id&tenant_id=&tenants_id=x", vec!["query=", "query="]),
    ] {
        let head = Head {
            host: b"acme.example.com",
            path: path.as_bytes(),
            resolved: resolved.as_bytes(),
            query: query.as_bytes(),
        };
        let found = texts(head_ids(&places, head, []));
        let mut wanted = vec!["host=acme"];
        wanted.extend(expected);
        assert_eq!(found, wanted, "{path}?{query}");
    }
    let sent: [(&[u8], &[u8]); 3] = [(b"X_Org.Id", b" b "), (b"x-org-id", b"c"), (b"x-org", b"d")];
    let head = Head { host: b"a", path: b"/", resolved: b"/", query: b"" };
    let found = texts(head_ids(&IdPlaces { host: false, ..places }, head, sent));
    assert_eq!(found, ["header=b", "header=c"]);
}

#[test]
fn a_body_names_what_any_reader_might_find_in_it() {
    let path = ClaimPath::parse("org.id").unwrap();
    let json = Some(b"application/json; charset=utf-8".as_slice());
    let form = Some(b"Application/X-WWW-Form-Urlencoded".as_slice());
    for (kind, body, expected) in [
        (json, "", Ok(vec![])),
        (json, r#"{"org":{"id":"b"}}"#, Ok(vec!["b"])),
        (json, r#"{"org":{"id":"a"},"org":{"id":"b","ID":7}}"#, Ok(vec!["a", "b", "7"])),
        (json, r#"{"org":[{"id":"a"},{"id":["b"]}]}"#, Ok(vec!["a", "b"])),
        (json, r#"{"\u006frg":{"id":"b"}}"#, Ok(vec!["b"])),
        (json, r#"{"org":{"id":null}}"#, Ok(vec![])),
        (json, r#"{"org":{"id":{}}}"#, Ok(vec![""])),
        (json, r#"{"org":{"id":true}}"#, Ok(vec![""])),
        (json, r#"{"org":"b","id":"b"}"#, Ok(vec![])),
        (json, r#""b""#, Ok(vec![])),
        (json, r#"{"org":{"id":"b"}"#, Err(Unreadable::Broken)),
        (json, r#"{"org":{"id":"b"}} {}"#, Err(Unreadable::Broken)),
        (json, "org.id=b", Err(Unreadable::Broken)),
        (None, r#"{"org":{"id":"b"}}"#, Ok(vec!["b"])),
        (Some(b"application/vnd.x+json".as_slice()), r#"{"org":{"id":"b"}}"#, Ok(vec!["b"])),
        (form, "a=1&org.id=b&org_id=c", Ok(vec!["b", "c"])),
        (form, r#"{"org":{"id":"b"}}"#, Err(Unreadable::Broken)),
        (Some(b"text/plain".as_slice()), "org.id=b", Err(Unreadable::Type)),
        (Some(b"multipart/form-data; boundary=x".as_slice()), "--x", Err(Unreadable::Type)),
    ] {
        let found = body_ids(&path, kind, body.as_bytes());
        let found = found.map(|ids| ids.into_iter().map(|id| String::from_utf8(id).unwrap()));
        let expected = expected.map(|ids: Vec<&str>| ids.into_iter().map(str::to_owned));
        assert_eq!(
            found.map(Iterator::collect::<Vec<_>>),
            expected.map(Iterator::collect),
            "{body}"
        );
    }
}

#[test]
fn ids_are_found_up_to_their_cap() {
    let path = ClaimPath::parse("id").unwrap();
    for (what, count, is_full) in [
        ("one under", IDS_MAX - 1, false),
        ("at it", IDS_MAX, false),
        ("one over", IDS_MAX + 1, true),
    ] {
        let items = vec![r#"{"id":"a"}"#; count].join(",");
        let found = body_ids(&path, None, format!("[{items}]").as_bytes());
        assert_eq!(found.is_err_and(|why| why == Unreadable::TooMany), is_full, "{what}");
        let form = vec!["id=a"; count].join("&");
        let found = body_ids(&path, Some(b"application/x-www-form-urlencoded"), form.as_bytes());
        assert_eq!(found.is_err_and(|why| why == Unreadable::TooMany), is_full, "{what}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(body_ids(&path, None, deep.as_bytes()), Err(Unreadable::Broken));
}
