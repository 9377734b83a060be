//! Every command of every runbook is run, against an edge with an incident.

use super::*;

/// The commands of a page: lines of code that begin with the program's name.
fn commands(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("       portcullis "));
    lines.map(words).collect()
}

/// Words as a shell makes them of plain ones and of ones in single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_every_runbook_does_what_it_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbooks");
    let origin = Origin::start().await;
    let (mut pages, mut ran) = (0, 0);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let page = std::fs::read_to_string(&file).unwrap();
        let commands = commands(&page);
        pages += 1;
        if commands.is_empty() {
            assert!(page.contains("The steps are those of ["), "{}", file.display());
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path();
        let edge = prepare(home, &origin, "");
        assert_eq!(curl(home, &edge, SQLI), "403");
        let id = incident(home, "SQL_INJECTION", 1)["id"].as_str().unwrap().to_owned();
        until("the response", || {
            operate(home, &["incidents", "show", &id]).contains("holds").then_some(())
        });
        for command in commands {
            let named = [("$ID", id.as_str()), ("$SOURCE", "127.0.0.1"), ("$ROUTE", "edge.test/")];
            let mut words: Vec<String> = command
                .iter()
                .map(|word| {
                    named.iter().fold(word.clone(), |word, (name, is)| word.replace(name, is))
                })
                .map(|word| word.replace("$USER", "ada").replace("$PROVIDER", "dev"))
                .collect();
            let is_offline = matches!(words[0].as_str(), "rules" | "check" | "log");
            if !is_offline {
                words.extend(["--socket".to_owned(), "admin.sock".to_owned()]);
            }
            let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = run(home, &arguments);
            let said = text(&output.stdout) + &text(&output.stderr);
            // Nothing is remembered of a user who never came, and there is no provider here.
            let is_unknown = said.contains("nothing is remembered") || said.contains("no provider");
            assert!(output.status.success() || is_unknown, "{}: {words:?}: {said}", file.display());
            ran += 1;
        }
    }
    assert!(pages >= 20 && ran >= 40, "{pages} pages, {ran} commands");
}

/// Each kind of incident that people are told of has its page.
#[test]
fn every_category_has_a_runbook_that_notices_link() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbooks"));
    let opening = portcullis_incident::Category::ALL.iter().filter(|one| one.opens_alone());
    let found = ["scanner", "protocol_attack", "token_forgery", "brute_force", "signer_failure"];
    for kind in opening.map(|one| one.kind()).chain(found) {
        let page = format!("{}.md", kind.replace('_', "-"));
        assert!(folder.join(&page).exists(), "{page}");
    }
}
