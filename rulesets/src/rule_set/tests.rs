//! Loads of every kind of source.

use super::*;

#[test]
fn the_built_in_rules_load_at_every_level() {
    for level in 1..=4 {
        let loaded = RuleSet::load("core", &Source::Builtin("core".to_owned()), level);
        let loaded = loaded.unwrap_or_else(|errors| panic_with(&errors));
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.set.run_level(), level);
    }
}

fn panic_with(errors: &[Diagnostic]) -> Loaded {
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    panic!("{}", text.join("\n"))
}

#[test]
fn rules_are_placed_by_category_and_level() {
    let set = RuleSet::load("core", &Source::Builtin("core".to_owned()), 1).unwrap().set;
    assert_eq!(set.category(9_542_100), Some(Category::Sqli));
    assert_eq!(set.level(9_542_100), Some(1));
    assert_eq!(set.level(9_542_200), Some(2));
    assert_eq!((set.category(9_590_100), set.level(9_590_100)), (None, None));
    assert!(set.contains(9_590_100) && !set.contains(942_100));
    for category in
        [Category::Sqli, Category::Xss, Category::Lfi, Category::Rce, Category::ScannerDetection]
    {
        assert!(set.ids(category).count() >= 3, "{category}");
        assert!(set.ids(category).any(|(_, level)| level == 2), "{category}");
    }
    let placed: usize = Category::all().map(|category| set.ids(category).count()).sum();
    assert_eq!(placed, set.program().rules().iter().filter(|rule| rule.paranoia.is_some()).count());
}

#[test]
fn a_fingerprint_follows_the_text_and_the_level() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::Directory(folder.path().to_owned());
    let write = |text: &str| std::fs::write(folder.path().join("a.conf"), text).unwrap();
    let load = |level| RuleSet::load("own", &source, level).unwrap().set.fingerprint().to_owned();
    write("SecAction \"id:1,phase:1,pass,nolog\"\n");
    let first = load(1);
    assert_eq!(first.len(), 64);
    assert_eq!(first, load(1));
    assert_ne!(first, load(2));
    let loaded = RuleSet::load("own", &source, 1).unwrap();
    assert!(loaded.is_current(&source, 1) && !loaded.is_current(&source, 2));
    let core = Source::Builtin("core".to_owned());
    assert!(!loaded.is_current(&core, 1));
    assert!(RuleSet::load("core", &core, 1).unwrap().is_current(&core, 1));
    write("SecAction \"id:2,phase:1,pass,nolog\"\n");
    assert_ne!(first, load(1));
    assert!(!loaded.is_current(&source, 1));
    assert_eq!(loaded.files, [folder.path().join("a.conf")]);
}

#[test]
fn what_is_no_rule_set_is_refused_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let error = |source: Source, level| {
        let errors = RuleSet::load("x", &source, level).unwrap_err();
        errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert!(error(Source::Builtin("none".to_owned()), 1).contains("no built-in set"));
    assert!(error(Source::Builtin("core".to_owned()), 0).contains("from 1 to 4"));
    assert!(error(Source::Builtin("core".to_owned()), 5).contains("from 1 to 4"));
    assert!(error(Source::Crs(path.clone()), 1).contains("neither"));
    assert!(error(Source::Directory(path.join("gone")), 1).contains("no directory"));
    std::fs::create_dir(path.join("rules")).unwrap();
    assert!(error(Source::Crs(path.clone()), 1).contains("crs-setup.conf"));
    std::fs::write(path.join("crs-setup.conf"), "").unwrap();
    std::fs::write(
        path.join("rules/a.conf"),
        "SecRule ARGS \"@pmFromFile gone.data\" \"id:1,phase:1,pass\"\nSecNone\n",
    )
    .unwrap();
    let message = error(Source::Crs(path.clone()), 1);
    assert!(message.contains("gone.data") && message.contains("SecNone"), "{message}");
    std::fs::write(path.join("rules/a.conf"), "Include ../../../etc/hostname\n").unwrap();
    assert!(error(Source::Crs(path), 1).contains("outside"));
}

#[test]
fn a_checkout_of_crs_loads_with_its_example_of_a_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("rules")).unwrap();
    std::fs::write(
        path.join("crs-setup.conf.example"),
        "SecAction \"id:900990,phase:1,pass,nolog,setvar:tx.crs_setup_version=400\"\n",
    )
    .unwrap();
    std::fs::write(
        path.join("rules/REQUEST-942-X.conf"),
        "SecRule TX:DETECTION_PARANOIA_LEVEL \"@lt 2\" \"id:942013,phase:2,pass,nolog,skipAfter:END\"\n\
         SecRule ARGS \"@contains x\" \"id:942100,phase:2,block,tag:'paranoia-level/2'\"\nSecMarker END\n",
    )
    .unwrap();
    let set = RuleSet::load("crs", &Source::Crs(path.to_owned()), 2).unwrap().set;
    assert_eq!(set.ids(Category::Sqli).collect::<Vec<_>>(), [(942_100, 2)]);
}

#[test]
fn debians_package_loads_where_it_is_installed() {
    let folder = Path::new("/usr/share/modsecurity-crs");
    if !folder.is_dir() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "modsecurity-crs is not installed");
        eprintln!("skipped: modsecurity-crs is not installed");
        return;
    }
    let loaded = RuleSet::load("crs", &Source::Crs(folder.to_owned()), 4);
    let loaded = loaded.unwrap_or_else(|errors| panic_with(&errors));
    let set = loaded.set;
    assert!(loaded.files.len() > 40);
    for (category, levels) in [
        (Category::Sqli, [16, 24, 7, 2]),
        (Category::Xss, [24, 6, 0, 0]),
        (Category::ScannerDetection, [3, 2, 0, 0]),
        (Category::Java, [4, 4, 1, 0]),
    ] {
        let count = |level| set.ids(category).filter(|(_, own)| *own == level).count();
        assert_eq!([1, 2, 3, 4].map(count), levels, "{category}");
    }
}

#[test]
fn a_name_is_a_built_in_set_a_crs_directory_or_a_directory_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().display().to_string();
    assert_eq!(Source::find("core"), Source::Builtin("core".to_owned()));
    assert_eq!(Source::find(&name), Source::Directory(folder.path().to_owned()));
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    assert_eq!(Source::find(&name), Source::Crs(folder.path().to_owned()));
}
