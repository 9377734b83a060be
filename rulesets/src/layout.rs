//! How rule sets lie on disk, and the text that loads one at a level.

use std::path::{Path, PathBuf};

/// The id of the action that sets the paranoia level.
pub(crate) const LEVEL_RULE_ID: u32 = 9_599_001;

/// What to compile.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The name of the text, against which its paths are resolved.
    pub(crate) name: String,
    /// SecLang that includes the rest.
    pub(crate) text: String,
    /// Where files may be read.
    pub(crate) roots: Vec<PathBuf>,
}

/// Returns the action that sets the level, in the words of CRS 3.3, CRS 4 and our own rules. The set's set-up
/// file may say another; this one comes after it.
pub(crate) fn level_action(level: u8) -> String {
    let variables = ["paranoia_level", "blocking_paranoia_level", "detection_paranoia_level"];
    let settings: String =
        variables.iter().map(|variable| format!(",setvar:tx.{variable}={level}")).collect();
    format!("SecAction \"id:{LEVEL_RULE_ID},phase:1,pass,nolog{settings}\"\n")
}

/// Finds the layout of a CRS directory: Debian's (`owasp-crs.load`), or that of a checkout or release.
/// `after_setup` is SecLang to run between the set-up and the rules.
pub(crate) fn crs(folder: &Path, after_setup: &str) -> Result<Entry, String> {
    let load = folder.join("owasp-crs.load");
    if load.is_file() {
        return debian(folder, &load, after_setup);
    }
    let rules = folder.join("rules");
    if !rules.is_dir() {
        let shown = folder.display();
        return Err(format!(
            "`{shown}` is no rule set: it has neither `owasp-crs.load` nor `rules`"
        ));
    }
    let setup = ["crs-setup.conf", "crs-setup.conf.example"].into_iter();
    let setup = setup.map(|name| folder.join(name)).find(|path| path.is_file());
    let setup = setup.ok_or_else(|| format!("`{}` has no `crs-setup.conf`", folder.display()))?;
    let mut text = include("Include", &setup);
    for plugins in ["*-config.conf", "*-before.conf"] {
        text += &include("IncludeOptional", &folder.join("plugins").join(plugins));
    }
    text += after_setup;
    text += &include("Include", &rules.join("*.conf"));
    text += &include("IncludeOptional", &folder.join("plugins").join("*-after.conf"));
    let name = folder.join("(rule set)").display().to_string();
    Ok(Entry { name, text, roots: vec![folder.to_owned()] })
}

/// Debian's file includes the set-up from elsewhere: the folders that it names are roots too.
fn debian(folder: &Path, load: &Path, after_setup: &str) -> Result<Entry, String> {
    let file =
        std::fs::read_to_string(load).map_err(|error| format!("`{}`: {error}", load.display()))?;
    let mut roots = vec![folder.to_owned()];
    let mut text = String::new();
    let mut stands = false;
    for line in file.lines() {
        text += line;
        text.push('\n');
        let mut words = line.split_whitespace();
        if words.next().is_none_or(|word| !word.starts_with("Include")) {
            continue;
        }
        let path = words.next().map(|path| path.trim_matches('"')).unwrap_or_default();
        roots.extend(
            Path::new(path).parent().filter(|parent| parent.is_absolute()).map(Path::to_owned),
        );
        if path.contains("crs-setup") {
            text += after_setup;
            stands = true;
        }
    }
    if !stands {
        text.insert_str(0, after_setup);
    }
    Ok(Entry { name: load.display().to_string(), text, roots })
}

/// All `.conf` files of a folder, in the order of their names.
pub(crate) fn directory(folder: &Path, level: u8) -> Result<Entry, String> {
    if !folder.is_dir() {
        return Err(format!("`{}` is no directory", folder.display()));
    }
    let text = level_action(level) + &include("Include", &folder.join("*.conf"));
    let name = folder.join("(rule set)").display().to_string();
    Ok(Entry { name, text, roots: vec![folder.to_owned()] })
}

fn include(directive: &str, path: &Path) -> String {
    format!("{directive} \"{}\"\n", path.display())
}
