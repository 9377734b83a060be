//! What rules mean, as ModSecurity has it.

use crate::engine::{get, ids, program, request, tx};
use seclang::{EngineMode, InterventionAction, Outcome, Transaction};
use std::sync::Arc;

#[test]
fn effects_run_for_each_value_that_matches() {
    let rules = program(
        "SecRule ARGS \"@rx ^x\" \"id:1,log,pass,setvar:tx.n=+1,setvar:tx.last=%{MATCHED_VAR_NAME}\"",
    );
    let found = get(&rules, "/?a=x1&b=y&c=x2");
    assert_eq!(ids(&found), [1, 1]);
    assert_eq!(tx(&found, "n").as_deref(), Some("2"));
    assert_eq!(tx(&found, "LAST").as_deref(), Some("ARGS:c"));
}

#[test]
fn every_link_of_a_chain_runs_its_effects_and_the_rule_matches_only_as_a_whole() {
    let rules = program(
        "SecRule ARGS:a \"@rx x\" \"id:1,log,deny,status:406,setvar:tx.first=1,chain\"\n\
         SecRule ARGS:b \"@rx y\" \"setvar:tx.second=1,chain\"\n\
         SecRule ARGS:c \"@rx z\" \"setvar:tx.score=+5\"",
    );
    let whole = get(&rules, "/?a=x&b=y&c=z");
    assert_eq!(tx(&whole, "score").as_deref(), Some("5"));
    assert_eq!(whole.intervention().map(|i| i.status), Some(406));
    let part = get(&rules, "/?a=x&b=y&c=n");
    assert_eq!((tx(&part, "second").as_deref(), tx(&part, "score")), (Some("1"), None));
    assert!(part.intervention().is_none());
    assert!(part.matches().is_empty());
}

#[test]
fn matched_vars_hold_every_match_of_the_chain_so_far() {
    let rules = program(
        "SecRule ARGS \"@rx x\" \"id:1,log,pass,chain\"\n\
         SecRule MATCHED_VARS \"@rx 2\" \"setvar:tx.hit=%{MATCHED_VAR},setvar:tx.n=+1\"\n\
         SecRule ARGS \"@rx x\" \"id:2,log,pass,chain\"\n\
         SecRule MATCHED_VARS_NAMES \"@rx ^ARGS:b$\" \"setvar:tx.name=%{MATCHED_VAR}\"",
    );
    let found = get(&rules, "/?a=x1&b=x2&c=2");
    assert_eq!(tx(&found, "hit").as_deref(), Some("x2"));
    assert_eq!(tx(&found, "n").as_deref(), Some("1"));
    assert_eq!(tx(&found, "name").as_deref(), Some("ARGS:b"));
}

#[test]
fn capture_fills_tx_0_to_9_and_forgets_the_capture_before() {
    let rules = program(
        "SecRule ARGS:a \"@rx ^(.)(.)\" \"id:1,pass,nolog,capture\"\n\
         SecRule ARGS:b \"@rx ^(.)\" \"id:2,pass,nolog,capture,setvar:tx.seen=%{tx.0}%{tx.1}%{tx.2}\"",
    );
    assert_eq!(tx(&get(&rules, "/?a=xy&b=zw"), "seen").as_deref(), Some("zz"));
    assert_eq!(tx(&get(&rules, "/?a=xy"), "2").as_deref(), Some("y"));
}

#[test]
fn multi_match_tests_every_stage_of_the_transformations() {
    let with = |extra: &str| {
        let text = format!(
            "SecRule ARGS:a \"@rx ^%41|^A|^a\" \"id:1,log,pass,t:urlDecode,t:lowercase{extra}\""
        );
        ids(&get(&program(&text), "/?a=%2541")).len()
    };
    assert_eq!(with(""), 1);
    assert_eq!(with(",multiMatch"), 3);
}

#[test]
fn skip_and_skip_after_jump_inside_the_phase() {
    let rules = program(
        "SecRule ARGS:a \"@eq 1\" \"id:1,log,pass,skipAfter:END\"\n\
         SecAction \"id:2,log,pass\"\nSecMarker END\n\
         SecRule ARGS:a \"@eq 2\" \"id:3,log,pass,skip:1\"\n\
         SecAction \"id:4,log,pass\"\nSecAction \"id:5,nolog,pass,setvar:tx.end=1\"",
    );
    assert_eq!(ids(&get(&rules, "/?a=1")), [1]);
    assert_eq!(ids(&get(&rules, "/?a=2")), [3]);
    assert_eq!(tx(&get(&rules, "/?a=2"), "end").as_deref(), Some("1"));
}

#[test]
fn block_does_what_the_default_of_its_phase_says() {
    let text = |default: &str| {
        format!(
            "SecDefaultAction \"phase:2,log,{default}\"\nSecRule ARGS:a \"@streq x\" \"id:1,block,t:none\""
        )
    };
    let status = |default: &str, uri: &str| {
        get(&program(&text(default)), uri).intervention().map(|i| (i.status, i.action.clone()))
    };
    assert_eq!(status("pass", "/?a=x"), None);
    assert_eq!(status("deny,status:418", "/?a=x"), Some((418, InterventionAction::Deny)));
    assert_eq!(status("deny,status:418", "/?a=y"), None);
    let to = InterventionAction::Redirect(b"https://x/".to_vec());
    assert_eq!(status("redirect:https://x/", "/?a=x"), Some((302, to)));
}

#[test]
fn the_defaults_transformations_apply_unless_cleared() {
    let rules = program(
        "SecDefaultAction \"phase:2,pass,log,t:lowercase\"\n\
         SecRule ARGS \"@streq x\" \"id:1\"\nSecRule ARGS \"@streq x\" \"id:2,t:none\"",
    );
    assert_eq!(ids(&get(&rules, "/?a=X")), [1]);
    assert_eq!(ids(&get(&rules, "/?a=x")), [1, 2]);
}

#[test]
fn detection_only_records_what_it_would_have_done() {
    let rules =
        program("SecRule ARGS \"@rx x\" \"id:1,deny\"\nSecRule ARGS \"@rx x\" \"id:2,deny\"");
    let mut transaction = Transaction::new(Arc::clone(&rules));
    transaction.set_engine(EngineMode::DetectionOnly);
    transaction.request_line(b"GET", b"/?a=x", b"HTTP/1.1");
    assert_eq!(transaction.request_headers(), Outcome::Continue);
    assert_eq!(transaction.request_body_end(), Outcome::Continue);
    assert_eq!(ids(&transaction), [1, 2]);
    assert!(transaction.intervention().is_none());
    assert_eq!(transaction.detected().map(|i| i.rule_id), Some(1));
    assert_eq!(ids(&get(&rules, "/?a=x")), [1]);
}

#[test]
fn allow_ends_the_phase_the_request_or_the_transaction() {
    let after = |scope: &str| {
        let rules = program(&format!(
            "SecAction \"id:1,phase:1,log,{scope}\"\nSecAction \"id:2,phase:1,log,pass\"\n\
             SecAction \"id:3,phase:2,log,pass\"\nSecAction \"id:4,phase:3,log,pass\"\n\
             SecAction \"id:5,phase:5,log,pass\""
        ));
        let mut transaction = get(&rules, "/");
        assert_eq!(transaction.response_headers(), Outcome::Continue);
        transaction.logging();
        transaction.fired().iter().map(|f| rules.rules()[f.rule.get()].id).collect::<Vec<_>>()
    };
    assert_eq!(after("pass"), [1, 2, 3, 4, 5]);
    assert_eq!(after("allow:phase"), [1, 3, 4, 5]);
    assert_eq!(after("allow:request"), [1, 4, 5]);
    assert_eq!(after("allow"), [1, 5]);
}

#[test]
fn ctl_changes_the_rest_of_the_transaction_only() {
    let with = |ctl: &str, uri: &str| {
        let rules = program(&format!(
            "SecRule ARGS:off \"@eq 1\" \"id:1,phase:1,nolog,pass,ctl:{ctl}\"\n\
             SecRule ARGS:/^a/ \"@rx x\" \"id:2,phase:2,log,pass,tag:t1,msg:'m2'\"\n\
             SecRule ARGS:b \"@rx x\" \"id:3,phase:2,log,pass\""
        ));
        ids(&get(&rules, uri))
    };
    let (off, on) = ("/?off=1&a1=x&a2=x&b=x", "/?off=0&a1=x&a2=x&b=x");
    let cases: &[(&str, &[u32])] = &[
        ("ruleRemoveById=2", &[3]),
        ("ruleRemoveById=2-3", &[]),
        ("ruleRemoveByTag=^t1$", &[3]),
        ("ruleRemoveByMsg=m2", &[3]),
        ("ruleRemoveTargetById=2;ARGS:a1", &[2, 3]),
        ("ruleRemoveTargetById=2-3;ARGS", &[]),
        ("ruleRemoveTargetByTag=t1;ARGS:/^A/", &[3]),
        ("ruleRemoveTargetByMsg=m2;ARGS_NAMES", &[2, 2, 3]),
        ("ruleEngine=Off", &[]),
    ];
    for (ctl, left) in cases {
        assert_eq!(with(ctl, off), *left, "{ctl}");
        assert_eq!(with(ctl, on), [2, 2, 3], "{ctl}");
    }
}

#[test]
fn counts_exclusions_and_selectors_choose_values() {
    let matched = |target: &str, uri: &str| {
        let rules = program(&format!("SecRule {target} \"@rx .\" \"id:1,log,pass\""));
        get(&rules, uri)
            .matches()
            .iter()
            .map(|m| m.value.escape_ascii().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(matched("&ARGS", "/?a=1&b=2&A=3"), ["3"]);
    assert_eq!(matched("&ARGS:a", "/?a=1&b=2&A=3"), ["2"]);
    assert_eq!(matched("ARGS:a", "/?a=1&b=2&A=3"), ["1", "3"]);
    assert_eq!(matched("ARGS|!ARGS:a", "/?a=1&b=2&A=3"), ["2"]);
    assert_eq!(matched("ARGS|!ARGS:/^[ab]$/", "/?a=1&b=2&c=3"), ["3"]);
    assert_eq!(matched("ARGS_NAMES|!ARGS_NAMES:a", "/?a=1&b=2"), ["b"]);
    assert_eq!(matched("ARGS:'/^a|b$/'", "/?ax=1&b=2&c=3"), ["1", "2"]);
    assert_eq!(matched("REQUEST_FILENAME", "/p%41th/f.php?x=1"), ["/pAth/f.php"]);
    assert_eq!(matched("REQUEST_BASENAME", "/p/f.php?x=1"), ["f.php"]);
    assert_eq!(matched("QUERY_STRING", "/p?x=1&y"), ["x=1&y"]);
    assert_eq!(matched("REQUEST_URI", "http://h/p?x"), ["/p?x"]);
    assert_eq!(matched("REQUEST_URI_RAW", "http://h/p?x"), ["http://h/p?x"]);
    assert_eq!(matched("REQUEST_LINE", "/p"), ["GET /p HTTP/1.1"]);
}

#[test]
fn cookies_and_arguments_are_cut_as_modsecurity_cuts_them() {
    let rules = program(
        "SecRule REQUEST_COOKIES|REQUEST_COOKIES_NAMES|ARGS_POST \"@unconditionalMatch\" \"id:1,log,pass\"",
    );
    let headers =
        [("Cookie", " a=1;b; =x;c=2=3"), ("Content-Type", "application/x-www-form-urlencoded")];
    let found = request(&rules, "POST", "/", &headers, b"p=%41+b&&q&=z&r=%zz");
    let shown: Vec<String> = found
        .matches()
        .iter()
        .map(|m| {
            format!("{}:{}={}", m.variable.as_str(), m.name.escape_ascii(), m.value.escape_ascii())
        })
        .collect();
    let expected = [
        "REQUEST_COOKIES:a=1",
        "REQUEST_COOKIES:b=",
        "REQUEST_COOKIES:c=2=3",
        "REQUEST_COOKIES_NAMES:a=a",
        "REQUEST_COOKIES_NAMES:b=b",
        "REQUEST_COOKIES_NAMES:c=c",
        "ARGS_POST:p=A b",
        "ARGS_POST:q=",
        "ARGS_POST:=z",
        "ARGS_POST:r=%zz",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn regular_expressions_are_dot_all_byte_clean_and_without_unicode() {
    let rules = program("SecRule ARGS:a \"@rx ^x.y$\" \"id:1,log,pass\"");
    for (value, hit) in [("x%0ay", true), ("x%ffy", true), ("x%c3%a9y", false), ("xzy%0a", false)] {
        assert_eq!(!ids(&get(&rules, &format!("/?a={value}"))).is_empty(), hit, "{value}");
    }
}

#[test]
fn numbers_in_tx_add_up_and_compare_with_macros() {
    let rules = program(
        "SecAction \"id:1,phase:1,nolog,pass,setvar:tx.limit=7,setvar:tx.five=5\"\n\
         SecRule ARGS \"@rx x\" \"id:2,nolog,pass,setvar:tx.score=+%{tx.five},setvar:'tx.by_%{MATCHED_VAR_NAME}=1'\"\n\
         SecRule TX:SCORE \"@ge %{tx.limit}\" \"id:3,log,deny\"\n\
         SecRule TX:/^by_/ \"@eq 1\" \"id:4,log,pass,setvar:!tx.limit,setvar:tx.score=-1\"",
    );
    assert_eq!(get(&rules, "/?a=x&b=x").intervention().map(|i| i.rule_id), Some(3));
    let one = get(&rules, "/?a=x");
    assert_eq!(ids(&one), [4]);
    assert_eq!((tx(&one, "limit"), tx(&one, "score").as_deref()), (None, Some("4")));
}

#[test]
fn the_message_and_the_log_data_are_written_out() {
    let rules = program(
        "SecRule ARGS \"@rx (x)\" \"id:1,log,pass,capture,msg:'saw %{TX.1}',logdata:'%{MATCHED_VAR_NAME}=%{MATCHED_VAR} %{rule.id}'\"",
    );
    let found = get(&rules, "/?q=ax");
    assert_eq!(found.fired()[0].msg, b"saw x");
    assert_eq!(found.fired()[0].logdata, b"ARGS:q=ax 1");
    let hit = &found.matches()[0];
    assert_eq!((hit.offset, hit.len, hit.source.as_str()), (1, 1, "ARGS_GET"));
}

#[test]
fn a_caller_may_say_what_a_body_is_without_a_header_of_its_own() {
    let rules = program(
        "SecRule ARGS_POST:json.a \"@streq x\" \"id:1,log,pass\"\nSecRule &REQUEST_HEADERS:Content-Type \"@eq 0\" \"id:2,log,pass\"",
    );
    let mut transaction = Transaction::new(Arc::clone(&rules));
    transaction.request_line(b"POST", b"/", b"HTTP/1.1");
    assert_eq!(transaction.request_headers(), Outcome::Continue);
    transaction.body_type(b"application/json");
    assert_eq!(transaction.request_body(br#"{"a":"x"}"#), Outcome::Continue);
    assert_eq!(transaction.request_body_end(), Outcome::Continue);
    assert_eq!(ids(&transaction), [1, 2]);
}

#[test]
fn the_user_is_who_basic_credentials_name() {
    let rules = program(
        "SecRule REMOTE_USER \"@rx ^.+$\" \"id:1,phase:1,pass,nolog,setvar:tx.user=%{MATCHED_VAR}\"\n\
         SecRule AUTH_TYPE \"@streq Basic\" \"id:2,phase:1,pass,nolog,setvar:tx.basic=1\"",
    );
    let with = |value| request(&rules, "GET", "/", &[("Authorization", value)], b"");
    let user = |value| tx(&with(value), "user");
    assert_eq!(user("Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==").as_deref(), Some("Aladdin"));
    assert_eq!(user("basic QWxhZGRpbg").as_deref(), Some("Aladdin"));
    assert_eq!(user("Bearer QWxhZGRpbjpvcGVu"), None);
    assert_eq!(user("Basic !"), None);
    assert_eq!(tx(&with("Basic QWxhZGRpbg"), "basic").as_deref(), Some("1"));
}

#[test]
fn the_time_of_the_request_is_utc_and_absent_unless_told() {
    let rules = program(
        "SecRule TIME_HOUR \"@lt 6\" \"id:1,phase:1,log,pass,t:none\"\n\
         SecRule TIME \"@streq 03:05:06\" \"id:2,phase:1,log,pass,t:none\"\n\
         SecRule TIME_EPOCH \"@streq 1582945506\" \"id:3,phase:1,log,pass,t:none\"\n\
         SecRule TIME_MIN|TIME_MON|TIME_WDAY \"@rx ^(?:05|1|6)$\" \"id:4,phase:1,log,pass,t:none\"\n\
         SecAction \"id:5,phase:1,nolog,pass,setvar:'tx.day=%{TIME_YEAR}-%{TIME_DAY}'\"\n\
         SecRule TX:day \"@streq 2020-29\" \"id:6,phase:1,log,pass,t:none\"\n\
         SecRule TIME_YEAR \"^$\" \"id:7,phase:1,log,pass,t:none\"",
    );
    let ask = |received: Option<u64>| {
        let mut transaction = Transaction::new(Arc::clone(&rules));
        if let Some(secs) = received {
            transaction.received(secs);
        }
        transaction.request_line(b"GET", b"/", b"HTTP/1.1");
        assert_eq!(transaction.request_headers(), Outcome::Continue);
        ids(&transaction)
    };
    assert_eq!(ask(Some(1_582_945_506)), [1, 2, 3, 4, 4, 4, 6]); // a Saturday, 29 February 2020
    assert_eq!(ask(None), [1, 7]);
}
