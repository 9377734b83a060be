//! Scenarios as operators write them: one YAML file each, with the tests that show when it speaks and when it does not.
//! Everything that is wrong with a file is told, each with its place.

mod reader;
mod sample;

use std::ops::Range;
use std::time::Duration;

use portcullis_config::yaml::{self, Entry, Node};
use portcullis_config::{Diagnostic, SourceFile, Timestamp};

use super::{Baseline, Condition, Counter, Detectors, Distinct, Filter, GroupBy, Scenario};
use crate::event::{Event, Taken};
use crate::travel::TravelRule;
use reader::{Reader, get};

/// Events that one test may hold.
const EVENTS_MAX: u64 = 1_000_000;
/// Groups that a test tracks.
const GROUPS_MAX: usize = 10_000;

/// A file: the scenario and its tests.
#[derive(Clone, PartialEq, Debug)]
pub struct ScenarioFile {
    /// The scenario.
    pub scenario: Scenario,
    /// Its tests.
    pub tests: Vec<ScenarioTest>,
}

/// Events, and how often the scenario speaks about them.
#[derive(Clone, PartialEq, Debug)]
pub struct ScenarioTest {
    /// What is shown.
    pub name: String,
    /// The events, with the time that passes before each.
    pub events: Vec<(Duration, Event)>,
    /// How often it speaks.
    pub raises: u64,
    /// Where it stands.
    pub place: Range<usize>,
}

impl ScenarioTest {
    /// Runs the events through the scenario alone, and returns how often it spoke.
    #[must_use]
    pub fn run(&self, scenario: &Scenario) -> u64 {
        let mut detectors = Detectors::new(vec![scenario.clone()], GROUPS_MAX);
        let mut now = Timestamp::from_secs(1_800_000_000);
        let mut raised = 0;
        for (after, event) in &self.events {
            now = now.plus(*after);
            raised += detectors.observe(event, now).len() as u64;
        }
        raised
    }
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_scenario(source: &SourceFile) -> Result<ScenarioFile, Vec<Diagnostic>> {
    let (root, problems) = yaml::read(source);
    let mut reader = Reader { source, problems };
    let Some(root) = root.filter(|_| reader.problems.is_empty()) else {
        if reader.problems.is_empty() {
            reader.problems.push(Diagnostic::error("not-yaml", "the file is empty"));
        }
        return Err(reader.problems);
    };
    match reader.file(&root) {
        Some(file) if reader.problems.is_empty() => Ok(file),
        Some(_) | None => Err(reader.problems),
    }
}

const KEYS: &[&str] = &[
    "scenario",
    "watches",
    "filter",
    "group_by",
    "distinct",
    "counter",
    "threshold",
    "journey",
    "unseen",
    "baseline",
    "window",
    "blackhole",
    "raises",
    "tests",
];
/// What says when a scenario speaks: one of them.
const CONDITIONS: &[&str] = &["threshold", "journey", "unseen", "baseline"];
const JOURNEY_KEYS: &[&str] = &["distance", "speed", "returns"];
const BASELINE_KEYS: &[&str] = &["factor", "floor", "ceiling", "learn"];
/// The highest rate that may be written.
const RATE_MAX: u64 = 1_000_000_000;
const FILTER_KEYS: &[&str] = &["path", "method", "status", "country", "taken"];
const TEST_KEYS: &[&str] = &["name", "events", "raises"];
impl Reader<'_> {
    fn file(&mut self, root: &Node) -> Option<ScenarioFile> {
        let entries = self.fields(root, "a scenario", KEYS)?;
        let name = self.needed(entries, "scenario", root).and_then(|node| self.text(node));
        let watches = self.needed(entries, "watches", root);
        let watches = watches.and_then(|node| self.all(node, Self::category));
        let filter = match get(entries, "filter") {
            Some(node) => self.filter(node),
            None => Some(Filter::default()),
        };
        let group_by = match get(entries, "group_by") {
            Some(node) => self.word(node, &GROUPS),
            None => Some(GroupBy::Node),
        };
        let condition = self.condition(entries, root);
        let window = self.needed(entries, "window", root).and_then(|node| self.span(node));
        let blackhole = match get(entries, "blackhole") {
            Some(node) => self.span(node),
            None => Some(Duration::from_secs(300)),
        };
        let raises = self.needed(entries, "raises", root).and_then(|node| self.category(node));
        let scenario = Scenario {
            name: name?,
            watches: watches?,
            filter: filter?,
            group_by: group_by?,
            condition: condition?,
            window: window?,
            blackhole: blackhole?,
            raises: raises?,
        };
        let scenario = match scenario.checked() {
            Ok(scenario) => scenario,
            Err(error) => {
                self.report("wrong-value", root.place(), error.to_string());
                return None;
            }
        };
        let tests = match get(entries, "tests") {
            Some(node) => self.all(node, Self::test),
            None => Some(Vec::new()),
        };
        Some(ScenarioFile { scenario, tests: tests? })
    }

    /// When it speaks: a threshold, or one of what takes its place.
    fn condition(&mut self, entries: &[Entry], root: &Node) -> Option<Condition> {
        let written: Vec<&Entry> =
            entries.iter().filter(|one| CONDITIONS.contains(&one.key.as_str())).collect();
        let [only] = written.as_slice() else {
            let place = written.get(1).map_or_else(|| root.place(), |two| two.span.clone());
            let message = format!("a scenario has one of {}", CONDITIONS.join(", "));
            self.report(
                if written.is_empty() { "missing-key" } else { "wrong-value" },
                place,
                message,
            );
            return None;
        };
        if only.key == "threshold" {
            return self.count(entries, &only.node);
        }
        for key in ["distinct", "counter"] {
            if let Some(entry) = entries.iter().find(|entry| entry.key == key) {
                let message = format!(
                    "`{key}` says how a `threshold` counts; beside `{}` it says nothing",
                    only.key
                );
                self.report("unknown-key", entry.span.clone(), message);
                return None;
            }
        }
        match only.key.as_str() {
            "journey" => self.journey(&only.node),
            "unseen" => self.word(&only.node, &VALUES).map(Condition::Unseen),
            _ => self.baseline(&only.node), // the keys above hold no other
        }
    }

    fn count(&mut self, entries: &[Entry], threshold: &Node) -> Option<Condition> {
        let distinct = match get(entries, "distinct") {
            Some(node) => self.word(node, &VALUES).map(Some),
            None => Some(None),
        };
        let counter = match get(entries, "counter") {
            Some(node) => self.word(node, &COUNTERS),
            None => Some(Counter::Sliding),
        };
        let threshold = u32::try_from(self.number(threshold, 2, 100_000)?).ok()?;
        Some(Condition::Count { distinct: distinct?, counter: counter?, threshold })
    }

    fn journey(&mut self, node: &Node) -> Option<Condition> {
        let entries = self.fields(node, "a journey", JOURNEY_KEYS)?;
        let usual = TravelRule::default();
        let distance_min_km = match get(entries, "distance") {
            Some(node) => self.decimal(node),
            None => Some(usual.distance_min_km),
        };
        let speed_max_km_per_hour = match get(entries, "speed") {
            Some(node) => self.decimal(node),
            None => Some(usual.speed_max_km_per_hour),
        };
        let returns = match get(entries, "returns") {
            Some(node) => self.word(node, &[("true", true), ("false", false)]),
            None => Some(false),
        };
        let rule = TravelRule {
            distance_min_km: distance_min_km?,
            speed_max_km_per_hour: speed_max_km_per_hour?,
        };
        Some(Condition::Journey { rule, returns: returns? })
    }

    fn baseline(&mut self, node: &Node) -> Option<Condition> {
        let entries = self.fields(node, "a baseline", BASELINE_KEYS)?;
        let mut rate = |key: &str, most: u64| {
            let node = self.needed(entries, key, node)?;
            self.number(node, 1, most)
        };
        let (factor, floor) = (rate("factor", 1000), rate("floor", RATE_MAX));
        let ceiling = rate("ceiling", RATE_MAX);
        let learn = match get(entries, "learn") {
            Some(node) => self.span(node),
            None => Some(Duration::from_secs(3600)),
        };
        Some(Condition::Baseline(Baseline {
            factor: u32::try_from(factor?).ok()?,
            floor: floor?,
            ceiling: ceiling?,
            learn: learn?,
        }))
    }

    fn filter(&mut self, node: &Node) -> Option<Filter> {
        let entries = self.fields(node, "a filter", FILTER_KEYS)?;
        let texts = |reader: &mut Self, key: &str| match get(entries, key) {
            Some(node) => reader.all(node, Self::text),
            None => Some(Vec::new()),
        };
        let (paths, methods) = (texts(self, "path"), texts(self, "method"));
        let countries = texts(self, "country");
        let statuses = match get(entries, "status") {
            Some(node) => self.all(node, |reader, node| reader.number(node, 100, 599)),
            None => Some(Vec::new()),
        };
        let taken = match get(entries, "taken") {
            Some(node) => self.word(node, &TAKEN).map(Some),
            None => Some(None),
        };
        let statuses = statuses?.into_iter().filter_map(|status| u16::try_from(status).ok());
        Some(Filter {
            paths: paths?,
            methods: methods?,
            statuses: statuses.collect(),
            countries: countries?,
            taken: taken?,
        })
    }

    fn test(&mut self, node: &Node) -> Option<ScenarioTest> {
        let entries = self.fields(node, "a test", TEST_KEYS)?;
        let name = self.needed(entries, "name", node).and_then(|node| self.text(node));
        let events = self.needed(entries, "events", node);
        let events = events.and_then(|node| self.all(node, Self::events));
        let raises = self.needed(entries, "raises", node);
        let raises = raises.and_then(|node| self.number(node, 0, EVENTS_MAX));
        Some(ScenarioTest {
            name: name?,
            events: events?.into_iter().flatten().collect(),
            raises: raises?,
            place: node.place(),
        })
    }
}

const GROUPS: [(&str, GroupBy); 7] = [
    ("source", GroupBy::Source),
    ("subject", GroupBy::Subject),
    ("account", GroupBy::Account),
    ("token", GroupBy::Token),
    ("license_key", GroupBy::LicenseKey),
    ("route", GroupBy::Route),
    ("node", GroupBy::Node),
];
const VALUES: [(&str, Distinct); 10] = [
    ("source", Distinct::Source),
    ("path", Distinct::Path),
    ("rule", Distinct::Rule),
    ("account", Distinct::Account),
    ("subject", Distinct::Subject),
    ("network", Distinct::Network),
    ("fingerprint", Distinct::Fingerprint),
    ("country", Distinct::Country),
    ("license_key", Distinct::LicenseKey),
    ("device", Distinct::Device),
];
const COUNTERS: [(&str, Counter); 2] = [("sliding", Counter::Sliding), ("leaky", Counter::Leaky)];
const TAKEN: [(&str, Taken); 2] = [("blocked", Taken::Blocked), ("logged", Taken::Logged)];

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
scenario: probes
watches: [SCANNER]
filter: { path: [/admin], method: [GET], status: [404], country: [FR], taken: blocked }
group_by: source
distinct: path
counter: sliding
threshold: 3
window: 1m
blackhole: 5m
raises: SCANNER
tests:
  - name: three paths
    events: [{ category: SCANNER, path: '/admin{n}', method: GET, status: 404, country: FR, repeat: 3 }]
    raises: 1
  - name: another country
    events: [{ category: SCANNER, path: '/admin{n}', method: GET, status: 404, country: DE, repeat: 9 }]
    raises: 0
";

    const COUNTED: &str = "distinct: path\ncounter: sliding\nthreshold: 3";

    fn read(text: &str) -> Result<ScenarioFile, Vec<Diagnostic>> {
        read_scenario(&SourceFile::new("probes.yaml".to_owned(), text.to_owned()))
    }

    #[test]
    fn a_file_is_read_and_its_tests_hold() {
        let file = read(GOOD).unwrap();
        let counted = Condition::Count {
            distinct: Some(Distinct::Path),
            counter: Counter::Sliding,
            threshold: 3,
        };
        assert_eq!((file.scenario.condition, file.tests.len()), (counted, 2));
        for test in &file.tests {
            assert_eq!(test.run(&file.scenario), test.raises, "{}", test.name);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        for (from, to, says) in [
            ("scenario: probes\n", "", "`scenario` is missing"),
            ("[SCANNER]", "[SCANER]", "`SCANER` is not known here"),
            ("watches: [SCANNER]", "watches: SCANNER", "a list is expected"),
            ("watches: [SCANNER]", "watches: []", "watches at least one category"),
            ("group_by: source", "group_by: sources", "`sources` is not known"),
            ("distinct: path", "distinct: hash", "`hash` is not known"),
            ("counter: sliding", "counter: fast", "`fast` is not known"),
            ("threshold: 3", "threshold: 1", "from 2 to 100000"),
            ("threshold: 3\n", "", "one of threshold, journey, unseen, baseline"),
            ("threshold: 3", "threshold: 3\nunseen: network", "one of threshold, journey"),
            ("counter: sliding\nthreshold: 3", "unseen: path", "beside `unseen` it says nothing"),
            (COUNTED, "journey: { speed: fast }", "`fast` is not a number"),
            (COUNTED, "journey: { speed: 1 }", "a speed from 10 to"),
            (COUNTED, "journey: { returns: often }", "`often` is not known"),
            (COUNTED, "journey: { length: 9 }", "no key `length`"),
            (COUNTED, "unseen: colour", "`colour` is not known"),
            (COUNTED, "baseline: { factor: 5, floor: 9 }", "`ceiling` is missing"),
            (COUNTED, "baseline: { factor: 5, floor: 9, ceiling: 8 }", "a floor below its ceiling"),
            (COUNTED, "baseline: { factor: 1, floor: 9, ceiling: 80 }", "a factor from 2"),
            ("raises: SCANNER", "raises: SESSION", "not SESSION"),
            (
                "path: '/admin{n}', method: GET, status: 404, country: FR, repeat: 3",
                "place: [1]",
                "latitude, longitude",
            ),
            ("repeat: 3", "place: [95, 0, 1], repeat: 3", "latitude, longitude"),
            ("window: 1m", "window: 1", "is no time"),
            ("window: 1m", "window: 25h", "from 1 s to 24 h"),
            ("blackhole: 5m", "black_hole: 5m", "no key `black_hole`"),
            ("raises: SCANNER\n", "raises: [SCANNER]\n", "text is expected"),
            ("status: [404], country: [FR]", "status: [4040], country: [FR]", "from 100 to 599"),
            ("taken: blocked", "taken: lost", "`lost` is not known"),
            ("raises: 1", "raises: once", "not a whole number"),
            ("repeat: 3", "source: here, repeat: 3", "`here` is no address"),
            ("    raises: 0\n", "", "`raises` is missing"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let problems = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(problems.iter().any(|one| one.message.contains(says)), "{says}: {problems:?}");
            assert!(problems.iter().all(|one| one.at.is_some()), "{says}: each has a place");
        }
        assert!(read("").is_err());
        assert!(read("a: [").is_err());
    }

    /// The house's own files say what an operator gets without writing any.
    #[test]
    fn the_tests_of_every_built_in_scenario_hold() {
        let mut ran = 0;
        for text in super::super::testing::BUILT_IN {
            let file = read(text).unwrap_or_else(|problems| panic!("{problems:?}"));
            let raising = file.tests.iter().filter(|test| test.raises > 0).count();
            assert!(raising > 0 && raising < file.tests.len(), "{}", file.scenario.name);
            for test in &file.tests {
                let raised = test.run(&file.scenario);
                assert_eq!(raised, test.raises, "{}: {}", file.scenario.name, test.name);
                ran += 1;
            }
        }
        assert!(ran >= 16, "{ran}");
    }
}
