//! Collections that outlive a transaction, in a store of the caller's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use seclang::{Outcome, Program, Store, Transaction, Variable};

use crate::engine::{ids, program};

type Place = (String, Vec<u8>, Vec<u8>);

/// A store that keeps everything and remembers what was to expire.
#[derive(Debug, Default)]
struct Kept {
    vars: Mutex<BTreeMap<Place, Vec<u8>>>,
    expiries: Mutex<Vec<(Place, u64)>>,
}

fn place(collection: Variable, key: &[u8], name: &[u8]) -> Place {
    (collection.as_str().to_owned(), key.to_vec(), name.to_ascii_lowercase())
}

impl Store for Kept {
    fn load(&self, collection: Variable, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let vars = self.vars.lock().unwrap();
        let own = vars.iter().filter(|((of, k, _), _)| of == collection.as_str() && k == key);
        own.map(|((_, _, name), value)| (name.clone(), value.clone())).collect()
    }

    fn save(&self, collection: Variable, key: &[u8], name: &[u8], value: Option<&[u8]>) {
        let mut vars = self.vars.lock().unwrap();
        match value {
            Some(value) => vars.insert(place(collection, key, name), value.to_vec()),
            None => vars.remove(&place(collection, key, name)),
        };
    }

    fn expire(&self, collection: Variable, key: &[u8], name: &[u8], seconds: u64) {
        self.expiries.lock().unwrap().push((place(collection, key, name), seconds));
    }
}

fn run(rules: &Arc<Program>, store: &Arc<Kept>, client: &str, uri: &str) -> Transaction {
    let mut transaction = Transaction::new(Arc::clone(rules));
    transaction.set_store(Arc::clone(store) as Arc<dyn Store>);
    let server = "127.0.0.1".parse().unwrap();
    transaction.connection(client.parse().unwrap(), 1, server, 2);
    transaction.request_line(b"GET", uri.as_bytes(), b"HTTP/1.1");
    let _ = transaction.request_headers() == Outcome::Continue
        && transaction.request_body_end() == Outcome::Continue;
    transaction
}

#[test]
fn every_collection_counts_across_transactions_by_its_key() {
    for (open, collection) in [
        ("initcol:ip=%{REMOTE_ADDR}", "ip"),
        ("initcol:global=all", "global"),
        ("initcol:resource=%{REQUEST_FILENAME}", "resource"),
        ("setsid:%{ARGS.s}", "session"),
        ("setuid:%{ARGS.u}", "user"),
    ] {
        let rules = program(&format!(
            "SecAction \"id:1,phase:1,nolog,pass,{open}\"\n\
             SecAction \"id:2,phase:1,nolog,pass,setvar:{collection}.n=+1,expirevar:{collection}.n=60\"\n\
             SecRule {}:N \"@ge 3\" \"id:3,phase:2,log,deny,status:429\"",
            collection.to_ascii_uppercase()
        ));
        let store = Arc::new(Kept::default());
        for _ in 0..2 {
            assert!(run(&rules, &store, "192.0.2.1", "/a?s=1&u=1").intervention().is_none());
        }
        let third = run(&rules, &store, "192.0.2.1", "/a?s=1&u=1");
        assert_eq!(third.intervention().map(|i| i.status), Some(429), "{collection}");
        assert_eq!(ids(&third), [3]);
        let other = run(&rules, &store, "192.0.2.2", "/b?s=2&u=2");
        assert_eq!(other.intervention().is_some(), collection == "global", "{collection}");
        let expiries = store.expiries.lock().unwrap();
        assert!(expiries.iter().all(|(_, seconds)| *seconds == 60) && expiries.len() == 4);
    }
}

#[test]
fn without_a_store_a_collection_lasts_one_transaction() {
    let rules = program(
        "SecAction \"id:1,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1\"\n\
         SecRule IP:N \"@eq 1\" \"id:2,phase:2,log,pass\"",
    );
    for _ in 0..2 {
        let mut transaction = Transaction::new(Arc::clone(&rules));
        transaction.request_line(b"GET", b"/", b"HTTP/1.1");
        let _ = transaction.request_headers() == Outcome::Continue
            && transaction.request_body_end() == Outcome::Continue;
        assert_eq!(ids(&transaction), [2]);
    }
}
