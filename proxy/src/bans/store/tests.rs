use portcullis_config::Timestamp;
use portcullis_policy::BanOrigin;

use super::*;

fn ban(key: &str, until: Option<u64>, origin: BanOrigin) -> Ban {
    Ban {
        key: key.parse().unwrap(),
        until: until.map(Timestamp::from_secs),
        since: Timestamp::from_secs(1),
        reason: "more than \"100\"".to_owned(),
        origin,
        definition: Some(u64::MAX),
        generation: 7,
    }
}

fn bans() -> Vec<Ban> {
    vec![
        ban("192.0.2.1", Some(600), BanOrigin::Operator("uid 0".to_owned())),
        ban("rule:p/100=192.0.2.7,\"k\\xff\"", Some(700), BanOrigin::Rule),
        ban("user:alice", None, BanOrigin::Incident("INC-1".to_owned())),
    ]
}

#[test]
fn bans_and_entries_are_read_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bans.redb");
    let mut bans = bans();
    let entry = AllowEntry {
        key: "10.0.0.0/8".parse().unwrap(),
        until: Some(Timestamp::from_secs(900)),
        since: Timestamp::from_secs(2),
        reason: "office".to_owned(),
        by: "uid:0".to_owned(),
    };
    let mut store = BanStore::open(&path).unwrap();
    assert_eq!(store.save(&bans, std::slice::from_ref(&entry)).unwrap(), 4);
    assert_eq!(store.save(&bans, std::slice::from_ref(&entry)).unwrap(), 0);
    drop(store);
    let mut store = BanStore::open(&path).unwrap();
    assert_eq!((store.bans(), store.allowed()), (bans.clone(), vec![entry]));
    bans.remove(0);
    assert_eq!(store.save(&bans, &[]).unwrap(), 2);
    drop(store);
    let store = BanStore::open(&path).unwrap();
    assert_eq!((store.bans(), store.allowed(), store.set_aside()), (bans, Vec::new(), None));
}

#[test]
fn a_file_held_by_another_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bans.redb");
    let held = BanStore::open(&path).unwrap();
    assert!(BanStore::open(&path).unwrap_err().to_string().contains("does not open"));
    drop(held);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_a_newer_program_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bans.redb");
    drop(BanStore::open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert("schema", SCHEMA + 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = BanStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("has schema 3") && error.contains("up to 2"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_schema_one_is_read_and_raised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bans.redb");
    let database = Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    let old = br#"{"until":null,"since":1000,"reason":"r","origin":"rule","definition":null}"#;
    write.open_table(BANS).unwrap().insert("192.0.2.1", old.as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    let store = BanStore::open(&path).unwrap();
    assert_eq!((store.bans().len(), store.bans()[0].generation), (1, 0));
    drop(store);
    assert_eq!(schema(&Database::open(&path).unwrap()).unwrap(), Some(SCHEMA));
}

/// Every way in which a file is damaged from outside: the store opens, with the bans or with the file set aside.
#[test]
fn a_damaged_file_is_set_aside_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    BanStore::open(&whole).unwrap().save(&bans(), &[]).unwrap();
    let whole = fs::read(whole).unwrap();
    let mut damaged: Vec<Vec<u8>> = vec![
        b"something else, longer than any header would be".to_vec(),
        vec![0; 4096],
        vec![0xff; 1 << 20],
        whole[..whole.len() / 2].to_vec(),
        whole[..100].to_vec(),
    ];
    for (page, byte) in [(0, 0x00), (1, 0xff), (2, 0x00), (3, 0xff), (4, 0x5a), (9, 0xff)] {
        let mut bytes = whole.clone();
        let end = bytes.len();
        bytes[(page * 4096).min(end)..((page + 1) * 4096).min(end)].fill(byte);
        damaged.push(bytes);
    }
    let mut set_aside = 0;
    for (number, bytes) in damaged.iter().enumerate() {
        let path = dir.path().join(format!("bans-{number}.redb"));
        fs::write(&path, bytes).unwrap();
        let mut store = BanStore::open(&path).unwrap_or_else(|error| panic!("{number}: {error}"));
        if let Some(aside) = store.set_aside().map(Path::to_owned) {
            set_aside += 1;
            assert_eq!(&fs::read(aside).unwrap(), bytes, "what was there is kept");
            assert!(store.bans().is_empty());
        }
        store.save(&bans()[..1], &[]).unwrap();
        drop(store);
        assert_eq!(BanStore::open(&path).unwrap().bans(), bans()[..1], "{number}");
    }
    assert!(set_aside >= 5, "{set_aside} of {}", damaged.len());
}
