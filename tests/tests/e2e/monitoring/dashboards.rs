//! The dashboards by the rules that Grafana's own linter has: variables, titles, units, matchers, rates, the grid.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{home, list, promtool};

/// Every dashboard with its file's name.
pub(super) fn all() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(home().join("dashboards")).unwrap().map(Result::unwrap);
    let mut boards: Vec<_> = files
        .map(|file| {
            let text = std::fs::read_to_string(file.path()).unwrap();
            (file.file_name().into_string().unwrap(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    boards.sort_by(|a: &(String, Value), b| a.0.cmp(&b.0));
    boards
}

/// The panels of a dashboard that show something.
fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    list(board, "panels").filter(|panel| panel["type"] != "row")
}

/// Every expression with where it stands, its variables replaced.
pub(super) fn expressions() -> Vec<(String, String)> {
    let boards = all();
    let all = boards.iter().flat_map(|(file, board)| {
        panels(board).flat_map(move |panel| {
            let place = format!("{file}: {}", panel["title"]);
            list(panel, "targets").map(move |target| {
                let text = target["expr"].as_str().unwrap();
                let text = text.replace("$__rate_interval", "5m").replace("$__range", "1h");
                (place.clone(), text.replace("$job", ".+").replace("$instance", ".+"))
            })
        })
    });
    all.collect()
}

#[test]
fn the_dashboards_are_there_with_the_five_panels_of_old() {
    let boards = all();
    assert_eq!(boards.len(), 3);
    let security = &boards.iter().find(|(file, _)| file.contains("security")).unwrap().1;
    for title in [
        "Failed Authentication Attempts (Last 24h)",
        "Cloud Armor Blocked Requests",
        "SQL Injection Attempts",
        "Tenant Isolation Violations",
        "Geographic Anomalies",
    ] {
        assert!(panels(security).any(|panel| panel["title"] == title), "{title}");
    }
}

#[test]
fn dashboards_choose_their_source_job_and_instance_and_cannot_be_edited() {
    for (file, board) in all() {
        let names: Vec<_> = list(&board["templating"], "list").map(|one| &one["name"]).collect();
        assert_eq!(names, ["datasource", "job", "instance"], "{file}");
        // 2: asked anew whenever the time range changes.
        let mut variables = list(&board["templating"], "list").skip(1);
        assert!(variables.all(|one| one["type"] == "query" && one["refresh"] == 2), "{file}");
    }
}

#[test]
fn panels_say_what_they_show_and_ask_the_chosen_source() {
    for (file, board) in all() {
        for panel in panels(&board) {
            let place = format!("{file}: {}", panel["title"]);
            for text in
                [&panel["title"], &panel["description"], &panel["fieldConfig"]["defaults"]["unit"]]
            {
                assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{place}");
            }
            assert!(list(panel, "targets").count() > 0, "{place}");
            let sources = list(panel, "targets").chain([panel]);
            assert!(
                sources.map(|one| &one["datasource"]["uid"]).all(|uid| uid == "${datasource}"),
                "{place}"
            );
        }
    }
}

#[test]
fn expressions_match_job_and_instance_and_counters_stand_under_a_rate() {
    for (_, board) in all() {
        for panel in panels(&board) {
            for target in list(panel, "targets") {
                let text = target["expr"].as_str().unwrap();
                assert!(text.contains("job=~\"$job\""), "{text}");
                // What is recorded by job has no instance left.
                assert!(
                    text.contains("job:") || text.contains("instance=~\"$instance\""),
                    "{text}"
                );
                let is_counter = text.contains("_total{")
                    || text.contains("_count{")
                    || text.contains("_bucket{");
                let is_rate = text.contains("rate(") || text.contains("increase(");
                assert!(!is_counter || is_rate, "{text}");
                assert!(
                    !text.contains("rate(")
                        || text.contains("[$__rate_interval]")
                        || text.contains(":ratio_rate"),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn panels_have_ids_and_places_of_their_own() {
    for (file, board) in all() {
        let ids: BTreeSet<_> = list(&board, "panels").map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), list(&board, "panels").count(), "{file}");
        let mut taken = BTreeSet::new();
        for panel in list(&board, "panels") {
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{file}: {} is too wide", panel["title"]);
            for cell in (at("x")..at("x") + at("w"))
                .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                assert!(taken.insert(cell), "{file}: {} lies on another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn promtool_takes_every_expression() {
    let directory = tempfile::tempdir().unwrap();
    let rules: Vec<_> = expressions()
        .into_iter()
        .enumerate()
        .map(|(n, (_, expr))| serde_json::json!({ "record": format!("dashboard:expression:{n}"), "expr": expr }))
        .collect();
    assert!(rules.len() > 30);
    let file = serde_json::json!({ "groups": [{ "name": "dashboards", "rules": rules }] });
    std::fs::write(directory.path().join("rules.json"), file.to_string()).unwrap();
    promtool(directory.path(), &["check", "rules", "rules.json"]);
}
