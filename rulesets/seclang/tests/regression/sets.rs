//! The rule sets that the cases are written for, where this machine has them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seclang::Program;

use crate::files::Files;

/// Where Debian's package `modsecurity-crs` puts version 3.3.
const DEBIAN: &str = "/usr/share/modsecurity-crs/owasp-crs.load";

/// Where a file of the shared test data stands: `PORTCULLIS_SHARED`, or a folder `shared` beside a
/// directory above the crate.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("PORTCULLIS_SHARED") {
        return Some(Path::new(&root).join(name)).filter(|path| path.exists());
    }
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared").join(name)).find(|path| path.exists())
}

/// The regression set-up for a version: detection only, paranoia level 4, the limits of rule 900005.
fn setup(version: u8) -> String {
    let levels = if version == 3 {
        "setvar:tx.paranoia_level=4,"
    } else {
        "setvar:tx.blocking_paranoia_level=4,setvar:tx.detection_paranoia_level=4,\
         ctl:ruleRemoveById=910000,"
    };
    format!(
        "SecRuleEngine DetectionOnly\n\
         SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
         SecAction \"id:900005,phase:1,nolog,pass,{levels}\
         setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
         setvar:tx.arg_length=400,\
         setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
         setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535\"\n"
    )
}

/// Version 3.3 as Debian ships it.
pub(crate) fn crs3() -> Option<Arc<Program>> {
    Path::new(DEBIAN).exists().then(|| load(&setup(3), DEBIAN))
}

/// Version 4, from the directory in `CRS4_DIR` (a checkout of its repository).
pub(crate) fn crs4() -> Option<Arc<Program>> {
    crs4_with("")
}

/// Version 4 in which the least score is enough to block.
pub(crate) fn crs4_blocking_any_score() -> Option<Arc<Program>> {
    crs4_with(
        "SecAction \"id:900110,phase:1,nolog,pass,setvar:tx.inbound_anomaly_score_threshold=1,\
         setvar:tx.outbound_anomaly_score_threshold=1\"\n",
    )
}

fn crs4_with(more: &str) -> Option<Arc<Program>> {
    let directory = PathBuf::from(std::env::var_os("CRS4_DIR")?);
    let example = directory.join("crs-setup.conf.example");
    let rules = directory.join("rules/*.conf");
    let text = setup(4) + more + &format!("Include {}\n", example.display());
    Some(load(&text, &rules.display().to_string()))
}

fn load(before: &str, include: &str) -> Arc<Program> {
    let text = format!("{before}Include {include}\n");
    match Program::compile("regression.conf", &text, &Files) {
        Ok(compiled) => Arc::new(compiled.program),
        Err(errors) => {
            let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{}", shown.join("\n\n"))
        }
    }
}
