//! See `seclang::fuzz::transaction`; the rules are Debian's CRS 3.3.4 at level 4.

#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use seclang::{Program, Resolve, ResolveError, Source};

/// Debian's package `modsecurity-crs`. The loader of `portcullis-rulesets` would do, and would bring a C library along.
const RULES: &str = "Include /etc/modsecurity/crs/crs-setup.conf\n\
    SecAction \"id:9599001,phase:1,pass,nolog,setvar:tx.paranoia_level=4\"\n\
    Include /usr/share/modsecurity-crs/rules/*.conf\n";

struct Files;

impl Resolve for Files {
    fn read(&self, path: &str, from: &str) -> Result<Source, ResolveError> {
        let beside = Path::new(from).parent().unwrap_or_else(|| Path::new("/"));
        let name = beside.join(path).display().to_string();
        match std::fs::read(&name) {
            Ok(bytes) => Ok(Source { name, bytes }),
            Err(error) => Err(ResolveError::Unreadable { path: name, reason: error.to_string() }),
        }
    }

    fn expand(&self, pattern: &str, _from: &str) -> Result<Vec<String>, ResolveError> {
        let Some(folder) = pattern.strip_suffix("/*.conf") else {
            return Ok(vec![pattern.to_owned()]);
        };
        let entries = std::fs::read_dir(folder).expect("Debian's modsecurity-crs is installed");
        let paths = entries.map(|entry| entry.expect("the folder can be read").path());
        let mut names: Vec<String> = paths.map(|path| path.display().to_string()).collect();
        names.retain(|name| name.ends_with(".conf"));
        names.sort();
        Ok(names)
    }
}

static PROGRAM: LazyLock<Arc<Program>> = LazyLock::new(|| {
    let compiled = Program::compile("/fuzz.conf", RULES, &Files);
    Arc::new(compiled.unwrap_or_else(|errors| panic!("{}", errors[0])).program)
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::transaction(&PROGRAM, input));
