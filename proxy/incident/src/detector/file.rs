//! Scenarios as operators write them: one YAML file each, with the tests that show when it speaks and when it does not.
//! Everything that is wrong with a file is told, each with its place.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use portcullis_config::yaml::{self, Entry, Node};
use portcullis_config::{Diagnostic, SourceFile, Timestamp};

use super::{Counter, Detectors, Distinct, Filter, GroupBy, Scenario};
use crate::category::Category;
use crate::event::{Event, Rule, Taken};

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
    "window",
    "blackhole",
    "raises",
    "tests",
];
const FILTER_KEYS: &[&str] = &["path", "method", "status", "country", "taken"];
const TEST_KEYS: &[&str] = &["name", "events", "raises"];
const EVENT_KEYS: &[&str] = &[
    "category", "source", "subject", "account", "path", "method", "status", "country", "route",
    "rule", "repeat", "every", "after",
];

struct Reader<'s> {
    source: &'s SourceFile,
    problems: Vec<Diagnostic>,
}

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
        let distinct = match get(entries, "distinct") {
            Some(node) => self.word(node, &VALUES).map(Some),
            None => Some(None),
        };
        let counter = match get(entries, "counter") {
            Some(node) => self.word(node, &COUNTERS),
            None => Some(Counter::Sliding),
        };
        let threshold = self.needed(entries, "threshold", root);
        let threshold = threshold.and_then(|node| self.number(node, 2, 100_000));
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
            distinct: distinct?,
            counter: counter?,
            threshold: u32::try_from(threshold?).ok()?,
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

    /// One line of events: `repeat` of them, in whose texts `{n}` counts.
    fn events(&mut self, node: &Node) -> Option<Vec<(Duration, Event)>> {
        let entries = self.fields(node, "an event", EVENT_KEYS)?;
        let category = self.needed(entries, "category", node).and_then(|node| self.category(node));
        let repeat = match get(entries, "repeat") {
            Some(node) => self.number(node, 1, EVENTS_MAX),
            None => Some(1),
        };
        let span = |reader: &mut Self, key: &str| match get(entries, key) {
            Some(node) => reader.span(node),
            None => Some(Duration::ZERO),
        };
        let (every, after) = (span(self, "every"), span(self, "after"));
        let text = |reader: &mut Self, key: &str| match get(entries, key) {
            Some(node) => reader.text(node).map(Some),
            None => Some(None),
        };
        let source = text(self, "source")?.unwrap_or_else(|| "192.0.2.1".to_owned());
        let (subject, account) = (text(self, "subject")?, text(self, "account")?);
        let (path, route) = (text(self, "path")?, text(self, "route")?);
        let (method, country, rule) =
            (text(self, "method")?, text(self, "country")?, text(self, "rule")?);
        let status = match get(entries, "status") {
            Some(node) => self.number(node, 100, 599),
            None => Some(403),
        };
        let (category, repeat, status) = (category?, repeat?, status?);
        let (every, after) = (every?, after?);
        let mut events = Vec::new();
        for n in 0..repeat {
            let with = |text: &str| text.replace("{n}", &n.to_string());
            let Ok(address) = with(&source).parse::<IpAddr>() else {
                let place = get(entries, "source").unwrap_or(node).place();
                self.report("wrong-value", place, format!("`{}` is no address", with(&source)));
                return None;
            };
            let mut event = Event::new("test", category, Some(address), Timestamp::from_millis(0));
            event.actor.subject = subject.as_deref().map(with);
            event.actor.account = account.as_deref().map(with);
            event.actor.country = country.as_deref().map(with);
            event.path = path.as_deref().map(with).unwrap_or_default();
            event.route = route.as_deref().map(with).unwrap_or_default();
            event.method = method.as_deref().map(with).unwrap_or_default();
            event.rule = rule.as_deref().map(|id| Rule { id: with(id), ..Rule::default() });
            event.status = u16::try_from(status).unwrap_or_default();
            event.taken = Taken::Blocked;
            events.push((if n == 0 { after } else { every }, event));
        }
        Some(events)
    }

    fn category(&mut self, node: &Node) -> Option<Category> {
        let words: Vec<_> = Category::ALL.iter().map(|one| (one.as_str(), *one)).collect();
        self.word(node, &words)
    }

    fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let written = self.text(node)?;
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*meant);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let problem = Diagnostic::error("unknown-value", format!("`{written}` is not known here"))
            .suggest(&written, known.iter().copied());
        let problem = match problem.help {
            Some(_) => problem,
            None => problem.help(format!("it can be one of {}", known.join(", "))),
        };
        self.problems.push(problem.in_source(self.source, node.value_place()));
        None
    }

    fn number(&mut self, node: &Node, least: u64, most: u64) -> Option<u64> {
        let written = self.text(node)?;
        let number = written.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("`{written}` is not a whole number from {least} to {most}");
            self.report("wrong-value", node.value_place(), message);
        }
        number
    }

    fn span(&mut self, node: &Node) -> Option<Duration> {
        let written = self.text(node)?;
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
        let found = units.iter().find_map(|(unit, millis)| {
            let number: u64 = written.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*millis).map(Duration::from_millis)
        });
        if found.is_none() {
            let message = format!("`{written}` is no time: write `500ms`, `30s`, `5m` or `1h`");
            self.report("wrong-value", node.value_place(), message);
        }
        found
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        let text = node.as_text().map(str::to_owned);
        if text.is_none() {
            let message = format!("text is expected here, not {}", node.kind());
            self.report("wrong-kind", node.place(), message);
        }
        text
    }

    /// Reads every item of a list, each with all its problems.
    fn all<T>(
        &mut self,
        node: &Node,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(items) = node.as_list() else {
            let message = format!("a list is expected here, not {}", node.kind());
            self.report("wrong-kind", node.place(), message);
            return None;
        };
        let read: Vec<_> = items.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }

    fn needed<'n>(&mut self, entries: &'n [Entry], key: &str, node: &Node) -> Option<&'n Node> {
        let found = get(entries, key);
        if found.is_none() {
            self.report("missing-key", node.place(), format!("the key `{key}` is missing"));
        }
        found
    }

    fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<&'n [Entry]> {
        let Some(entries) = node.as_map() else {
            let message = format!("{what} is a mapping, not {}", node.kind());
            self.report("wrong-kind", node.place(), message);
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("{what} has no key `{}`", entry.key);
            let problem = Diagnostic::error("unknown-key", message)
                .suggest(&entry.key, known.iter().copied());
            let problem = match problem.help {
                Some(_) => problem,
                None => problem.help(format!("it has: {}", known.join(", "))),
            };
            self.problems.push(problem.in_source(self.source, entry.span.clone()));
        }
        Some(entries)
    }

    fn report(&mut self, code: &'static str, place: Range<usize>, message: String) {
        self.problems.push(Diagnostic::error(code, message).in_source(self.source, place));
    }
}

const GROUPS: [(&str, GroupBy); 5] = [
    ("source", GroupBy::Source),
    ("subject", GroupBy::Subject),
    ("account", GroupBy::Account),
    ("route", GroupBy::Route),
    ("node", GroupBy::Node),
];
const VALUES: [(&str, Distinct); 5] = [
    ("source", Distinct::Source),
    ("path", Distinct::Path),
    ("rule", Distinct::Rule),
    ("account", Distinct::Account),
    ("subject", Distinct::Subject),
];
const COUNTERS: [(&str, Counter); 2] = [("sliding", Counter::Sliding), ("leaky", Counter::Leaky)];
const TAKEN: [(&str, Taken); 2] = [("blocked", Taken::Blocked), ("logged", Taken::Logged)];

fn get<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

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

    fn read(text: &str) -> Result<ScenarioFile, Vec<Diagnostic>> {
        read_scenario(&SourceFile::new("probes.yaml".to_owned(), text.to_owned()))
    }

    #[test]
    fn a_file_is_read_and_its_tests_hold() {
        let file = read(GOOD).unwrap();
        assert_eq!((file.scenario.threshold, file.tests.len()), (3, 2));
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
