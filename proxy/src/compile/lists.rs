//! Lists of addresses: text files with one address or network per line.

use std::collections::BTreeMap;

use ipnet::IpNet;
use portcullis_config::{Config, Diagnostic, SourceFile};

use super::sources::Sources;

/// Reads every list. A list that cannot be read is reported and missing from the result.
pub(super) fn load(config: &Config, sources: &mut Sources) -> BTreeMap<String, Vec<IpNet>> {
    let mut lists = BTreeMap::new();
    for (name, source) in &config.lists {
        let what = format!("the list `{name}`");
        let Some(bytes) = sources.read(&what, &source.file) else { continue };
        let path = source.file.display();
        let Ok(text) = String::from_utf8(bytes) else {
            let message = format!("{what} in `{path}` is not UTF-8");
            sources.error("list-invalid", message, "give one address or network per line");
            continue;
        };
        let (networks, problems) = parse(&SourceFile::new(path.to_string(), text));
        sources.problems.extend(problems);
        lists.insert(name.clone(), networks);
    }
    lists
}

/// Reads a list: one address or network per line, `#` starts a comment, empty lines mean nothing.
fn parse(source: &SourceFile) -> (Vec<IpNet>, Vec<Diagnostic>) {
    let mut networks = Vec::new();
    let mut problems = Vec::new();
    let mut start = 0;
    for line in source.text().split_inclusive('\n') {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            let at = start + line.find(entry).unwrap_or(0);
            match read_network(entry) {
                Some(network) => networks.push(network),
                None => problems.push(
                    Diagnostic::error(
                        "list-invalid",
                        format!("`{entry}` is no address and no network"),
                    )
                    .help("write `192.0.2.1`, `192.0.2.0/24` or `2001:db8::/32`")
                    .in_source(source, at..at + entry.len()),
                ),
            }
        }
        start += line.len();
    }
    (networks, problems)
}

fn read_network(entry: &str) -> Option<IpNet> {
    let address = || entry.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    entry.parse::<IpNet>().ok().map(|network| network.trunc()).or_else(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_network_per_line_and_every_mistake_its_place() {
        let text = "# known\n192.0.2.1\n\n 2001:db8::/32 # why\n192.0.2.77/24\nno\n1.2.3.4/33";
        let (networks, problems) = parse(&SourceFile::new("l.txt", text));
        let shown: Vec<String> = networks.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["192.0.2.1/32", "2001:db8::/32", "192.0.2.0/24"]);
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "l.txt:6:1: error: `no` is no address and no network [list-invalid]",
                "l.txt:7:1: error: `1.2.3.4/33` is no address and no network [list-invalid]",
            ]
        );
    }
}
