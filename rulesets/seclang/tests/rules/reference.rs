//! The names of the ModSecurity 3 reference, one by one: each works, has no effect with a reason, or refuses to load.
//! A name that moves from one column to another moves here too.

use std::collections::BTreeSet;

use seclang::{ACCEPTED, AcceptedKind, Program};

use crate::engine::{Memory, shown};

/// What a load says of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Works,
    NoEffect,
    Refuses,
}
use Answer::{NoEffect, Refuses, Works};

const DIRECTIVES: &[(&str, Answer)] = &[
    ("SecAction \"id:1,pass\"", Works),
    ("SecArgumentSeparator &", Works),
    ("SecArgumentSeparator ;", Refuses),
    ("SecArgumentsLimit 1000", Works),
    ("SecAuditEngine RelevantOnly", NoEffect),
    ("SecAuditLog /x", NoEffect),
    ("SecAuditLog2 /x", NoEffect),
    ("SecAuditLogDirMode 02750", NoEffect),
    ("SecAuditLogFileMode 00640", NoEffect),
    ("SecAuditLogFormat JSON", NoEffect),
    ("SecAuditLogParts ABC", NoEffect),
    ("SecAuditLogRelevantStatus ^5", NoEffect),
    ("SecAuditLogStorageDir /x", NoEffect),
    ("SecAuditLogType Serial", NoEffect),
    ("SecCollectionTimeout 600", NoEffect),
    ("SecComponentSignature \"x\"", NoEffect),
    ("SecConnEngine Off", Refuses),
    ("SecContentInjection On", Refuses),
    ("SecCookieFormat 0", Works),
    ("SecCookieFormat 1", Refuses),
    ("SecDataDir /x", NoEffect),
    ("SecDebugLog /x", NoEffect),
    ("SecDebugLogLevel 3", NoEffect),
    ("SecDefaultAction \"phase:1,log,pass\"", Works),
    ("SecGeoLookupDb /x", NoEffect),
    ("SecGsbLookupDb /x", Refuses),
    ("SecHashEngine On", Refuses),
    ("SecHttpBlKey x", Refuses),
    ("SecInterceptOnError On", Refuses),
    ("SecMarker END", Works),
    ("SecParseXmlIntoArgs Off", Works),
    ("SecParseXmlIntoArgs On", Refuses),
    ("SecPcreMatchLimit 1000", NoEffect),
    ("SecPcreMatchLimitRecursion 1000", NoEffect),
    ("SecRemoteRules key https://x/", Refuses),
    ("SecRequestBodyAccess On", Works),
    ("SecRequestBodyInMemoryLimit 1000", NoEffect),
    ("SecRequestBodyJsonDepthLimit 10", Works),
    ("SecRequestBodyLimit 1000", Works),
    ("SecRequestBodyLimitAction ProcessPartial", Works),
    ("SecRequestBodyNoFilesLimit 1000", Works),
    ("SecResponseBodyAccess Off", Works),
    ("SecResponseBodyLimit 1000", Works),
    ("SecResponseBodyLimitAction Reject", Works),
    ("SecResponseBodyMimeType text/plain text/html", Works),
    ("SecResponseBodyMimeTypesClear", Works),
    ("SecRule ARGS \"@rx a\" \"id:1\"", Works),
    ("SecRuleEngine DetectionOnly", Works),
    ("SecRuleInheritance On", Refuses),
    ("SecRulePerfTime 1000", Refuses),
    ("SecRuleRemoveById 9", NoEffect),
    ("SecRuleRemoveByMsg x", NoEffect),
    ("SecRuleRemoveByTag x", NoEffect),
    ("SecRuleScript /x.lua \"id:1\"", Refuses),
    ("SecRuleUpdateActionById 9 \"pass\"", NoEffect),
    ("SecRuleUpdateTargetById 9 \"!ARGS\"", NoEffect),
    ("SecRuleUpdateTargetByMsg x \"!ARGS\"", NoEffect),
    ("SecRuleUpdateTargetByTag x \"!ARGS\"", NoEffect),
    ("SecSensorId x", NoEffect),
    ("SecServerSignature x", NoEffect),
    ("SecStatusEngine On", NoEffect),
    ("SecStreamInBodyInspection On", Refuses),
    ("SecStreamOutBodyInspection On", Refuses),
    ("SecTmpDir /x", NoEffect),
    ("SecTmpSaveUploadedFiles On", NoEffect),
    ("SecUnicodeMapFile unicode.mapping 20127", Works),
    ("SecUnicodeMapFile unicode.mapping 1250", Refuses),
    ("SecUploadDir /x", NoEffect),
    ("SecUploadFileLimit 10", Works),
    ("SecUploadFileMode 0600", NoEffect),
    ("SecUploadKeepFiles Off", NoEffect),
    ("SecWebAppId x", NoEffect),
    ("SecXmlExternalEntity Off", Works),
    ("SecXmlExternalEntity On", Refuses),
];

/// Operators with an argument that each takes.
const OPERATORS: &[(&str, Answer)] = &[
    ("beginsWith a", Works),
    ("contains a", Works),
    ("containsWord a", Works),
    ("detectSQLi", Works),
    ("detectXSS", Works),
    ("endsWith a", Works),
    ("eq 1", Works),
    ("fuzzyHash a 6", Refuses),
    ("ge 1", Works),
    ("geoLookup", Works),
    ("gsbLookup a", Refuses),
    ("gt 1", Works),
    ("inspectFile a", Refuses),
    ("ipMatch 10.0.0.0/8,::1", Works),
    ("ipMatchF addresses.data", Works),
    ("ipMatchFromFile addresses.data", Works),
    ("le 1", Works),
    ("lt 1", Works),
    ("noMatch", Works),
    ("pm a b", Works),
    ("pmf phrases.data", Works),
    ("pmFromFile phrases.data", Works),
    ("rbl a.example", NoEffect),
    ("rsub s/a/b/", Refuses),
    ("rx a", Works),
    ("rxGlobal a", Refuses),
    ("streq a", Works),
    ("strmatch a", Works),
    ("unconditionalMatch", Works),
    ("validateByteRange 1-255", Works),
    ("validateDTD a", Refuses),
    ("validateHash a", Refuses),
    ("validateSchema a", Refuses),
    ("validateUrlEncoding", Works),
    ("validateUtf8Encoding", Works),
    ("verifyCC \\d{13,16}", Works),
    ("verifyCPF \\d{11}", Works),
    ("verifySSN \\d{9}", Works),
    ("verifySVNR \\d{10}", Works),
    ("within a b", Works),
];

const TRANSFORMATIONS: &[(&str, Answer)] = &[
    ("base64Decode", Works),
    ("base64DecodeExt", Works),
    ("base64Encode", Works),
    ("cmdLine", Works),
    ("compressWhitespace", Works),
    ("cssDecode", Works),
    ("escapeSeqDecode", Works),
    ("hexDecode", Works),
    ("hexEncode", Works),
    ("htmlEntityDecode", Works),
    ("jsDecode", Works),
    ("length", Works),
    ("lowercase", Works),
    ("md5", Works),
    ("none", Works),
    ("normalisePath", Works),
    ("normalizePath", Works),
    ("normalisePathWin", Works),
    ("normalizePathWin", Works),
    ("parityEven7bit", Works),
    ("parityOdd7bit", Works),
    ("parityZero7bit", Works),
    ("removeComments", Works),
    ("removeCommentsChar", Works),
    ("removeNulls", Works),
    ("removeWhitespace", Works),
    ("replaceComments", Works),
    ("replaceNulls", Works),
    ("sha1", Works),
    ("sqlHexDecode", Works),
    ("trim", Works),
    ("trimLeft", Works),
    ("trimRight", Works),
    ("uppercase", Works),
    ("urlDecode", Works),
    ("urlDecodeUni", Works),
    ("urlEncode", Works),
    ("utf8toUnicode", Works),
];

const ACTIONS: &[(&str, Answer)] = &[
    ("accuracy:9", NoEffect),
    ("allow", Works),
    ("allow:phase", Works),
    ("allow:request", Works),
    ("append:'x'", Refuses),
    ("auditlog", NoEffect),
    ("block", Works),
    ("capture", Works),
    ("ctl:auditEngine=On", NoEffect),
    ("ctl:auditLogParts=+E", NoEffect),
    ("ctl:debugLogLevel=9", NoEffect),
    ("ctl:forceRequestBodyVariable=On", Works),
    ("ctl:hashEngine=On", Refuses),
    ("ctl:parseXmlIntoArgs=On", Refuses),
    ("ctl:requestBodyAccess=Off", Works),
    ("ctl:requestBodyLimit=10", Works),
    ("ctl:requestBodyProcessor=XML", Works),
    ("ctl:responseBodyAccess=Off", Works),
    ("ctl:responseBodyLimit=10", Works),
    ("ctl:ruleEngine=Off", Works),
    ("ctl:ruleRemoveById=2", Works),
    ("ctl:ruleRemoveByMsg=x", Works),
    ("ctl:ruleRemoveByTag=x", Works),
    ("ctl:ruleRemoveTargetById=2;ARGS:a", Works),
    ("ctl:ruleRemoveTargetByMsg=x;ARGS", Works),
    ("ctl:ruleRemoveTargetByTag=x;ARGS", Works),
    ("deny", Works),
    ("deprecatevar:ip.a=1/60", Refuses),
    ("drop", Works),
    ("exec:/x", Refuses),
    ("expirevar:ip.a=60", Works),
    ("initcol:ip=%{REMOTE_ADDR}", Works),
    ("log", Works),
    ("logdata:'%{MATCHED_VAR}'", Works),
    ("maturity:9", NoEffect),
    ("msg:'x'", Works),
    ("multiMatch", Works),
    ("noauditlog", NoEffect),
    ("nolog", Works),
    ("pass", Works),
    ("pause:10", Refuses),
    ("prepend:'x'", Refuses),
    ("proxy:http://x/", Refuses),
    ("redirect:https://x/", Works),
    ("rev:'1'", NoEffect),
    ("sanitiseArg:a", NoEffect),
    ("sanitiseMatched", NoEffect),
    ("sanitiseMatchedBytes", NoEffect),
    ("sanitiseRequestHeader:a", NoEffect),
    ("sanitiseResponseHeader:a", NoEffect),
    ("setenv:a=b", Refuses),
    ("setrsc:a", Refuses),
    ("setsid:%{ARGS.a}", Works),
    ("setuid:%{ARGS.a}", Works),
    ("setvar:tx.a=1", Works),
    ("severity:CRITICAL", Works),
    ("status:404", Works),
    ("tag:'a/b'", Works),
    ("ver:'x'", Works),
    ("xmlns:a=b", Refuses),
];

const VARIABLES: &[(&str, Answer)] = &[
    ("ARGS", Works),
    ("ARGS_COMBINED_SIZE", Works),
    ("ARGS_GET", Works),
    ("ARGS_GET_NAMES", Works),
    ("ARGS_NAMES", Works),
    ("ARGS_POST", Works),
    ("ARGS_POST_NAMES", Works),
    ("AUTH_TYPE", Works),
    ("DURATION", Works),
    ("ENV", Refuses),
    ("FILES", Works),
    ("FILES_COMBINED_SIZE", Works),
    ("FILES_NAMES", Works),
    ("FILES_SIZES", Works),
    ("FILES_TMPNAMES", Refuses),
    ("FILES_TMP_CONTENT", Refuses),
    ("FULL_REQUEST", Refuses),
    ("FULL_REQUEST_LENGTH", Refuses),
    ("GEO:COUNTRY_CODE", Works),
    ("GLOBAL:a", Works),
    ("HIGHEST_SEVERITY", Works),
    ("INBOUND_DATA_ERROR", Works),
    ("IP:a", Works),
    ("MATCHED_VAR", Works),
    ("MATCHED_VARS", Works),
    ("MATCHED_VARS_NAMES", Works),
    ("MATCHED_VAR_NAME", Works),
    ("MODSEC_BUILD", Refuses),
    ("MULTIPART_BOUNDARY_QUOTED", Works),
    ("MULTIPART_BOUNDARY_WHITESPACE", Works),
    ("MULTIPART_CRLF_LF_LINES", Works),
    ("MULTIPART_DATA_AFTER", Works),
    ("MULTIPART_DATA_BEFORE", Works),
    ("MULTIPART_FILENAME", Works),
    ("MULTIPART_FILE_LIMIT_EXCEEDED", Works),
    ("MULTIPART_HEADER_FOLDING", Works),
    ("MULTIPART_INVALID_HEADER_FOLDING", Works),
    ("MULTIPART_INVALID_PART", Works),
    ("MULTIPART_INVALID_QUOTING", Works),
    ("MULTIPART_LF_LINE", Works),
    ("MULTIPART_MISSING_SEMICOLON", Works),
    ("MULTIPART_NAME", Works),
    ("MULTIPART_PART_HEADERS", Works),
    ("MULTIPART_STRICT_ERROR", Works),
    ("MULTIPART_UNMATCHED_BOUNDARY", Works),
    ("OUTBOUND_DATA_ERROR", Works),
    ("PATH_INFO", Works),
    ("PERF_ALL", Refuses),
    ("QUERY_STRING", Works),
    ("REMOTE_ADDR", Works),
    ("REMOTE_HOST", Refuses),
    ("REMOTE_PORT", Works),
    ("REMOTE_USER", Works),
    ("REQBODY_ERROR", Works),
    ("REQBODY_ERROR_MSG", Works),
    ("REQBODY_PROCESSOR", Works),
    ("REQUEST_BASENAME", Works),
    ("REQUEST_BODY", Works),
    ("REQUEST_BODY_LENGTH", Works),
    ("REQUEST_COOKIES", Works),
    ("REQUEST_COOKIES_NAMES", Works),
    ("REQUEST_FILENAME", Works),
    ("REQUEST_HEADERS", Works),
    ("REQUEST_HEADERS_NAMES", Works),
    ("REQUEST_LINE", Works),
    ("REQUEST_METHOD", Works),
    ("REQUEST_PROTOCOL", Works),
    ("REQUEST_URI", Works),
    ("REQUEST_URI_RAW", Works),
    ("RESOURCE:a", Works),
    ("RESPONSE_BODY", Works),
    ("RESPONSE_CONTENT_LENGTH", Works),
    ("RESPONSE_CONTENT_TYPE", Works),
    ("RESPONSE_HEADERS", Works),
    ("RESPONSE_HEADERS_NAMES", Works),
    ("RESPONSE_PROTOCOL", Works),
    ("RESPONSE_STATUS", Works),
    ("RULE:id", Works),
    ("SCRIPT_FILENAME", Refuses),
    ("SERVER_ADDR", Works),
    ("SERVER_NAME", Works),
    ("SERVER_PORT", Works),
    ("SESSION:a", Works),
    ("SESSIONID", Refuses),
    ("STATUS_LINE", Refuses),
    ("STREAM_INPUT_BODY", Refuses),
    ("TIME", Works),
    ("TIME_HOUR", Works),
    ("TX:a", Works),
    ("UNIQUE_ID", Works),
    ("URLENCODED_ERROR", Works),
    ("USER:a", Works),
    ("USERAGENT_IP", Refuses),
    ("USERID", Refuses),
    ("WEBAPPID", Refuses),
    ("WEBSERVER_ERROR_LOG", Refuses),
    ("XML:/*", Works),
    ("XML://@*", Works),
];

fn answer(text: &str) -> (Answer, String) {
    let files = Memory(
        [("addresses.data", "10.0.0.0/8\n# all of it\n"), ("phrases.data", "one\ntwo\n")].into(),
    );
    match Program::compile("test.conf", text, &files) {
        Ok(compiled) if compiled.notes.is_empty() => (Works, String::new()),
        Ok(compiled) => (NoEffect, shown(&compiled.notes)),
        Err(errors) => (Refuses, shown(&errors)),
    }
}

fn check(words: &[(&str, Answer)], rule: impl Fn(&str) -> String) {
    for (word, expected) in words {
        let (found, said) = answer(&rule(word));
        assert_eq!(found, *expected, "{word}: {said}");
        assert!(found == Works || said.len() > 20, "{word} says why: {said}");
    }
}

#[test]
fn every_name_of_the_reference_works_has_no_effect_with_a_reason_or_refuses() {
    check(DIRECTIVES, str::to_owned);
    check(OPERATORS, |word| format!("SecRule ARGS \"@{word}\" \"id:1,pass\""));
    check(OPERATORS, |word| format!("SecRule ARGS \"!@{word}\" \"id:1,pass\""));
    check(TRANSFORMATIONS, |word| format!("SecRule ARGS \"@rx a\" \"id:1,pass,t:{word}\""));
    check(VARIABLES, |word| format!("SecRule {word} \"@rx a\" \"id:1,pass\""));
    check(VARIABLES, |word| format!("SecRule &{word} \"@gt 5\" \"id:1,pass\""));
    let other = "SecRule ARGS \"@rx a\" \"id:2,pass,msg:'x',tag:'x'\"";
    check(ACTIONS, |word| format!("SecRule ARGS \"@rx a\" \"id:1,phase:1,{word}\"\n{other}"));
}

#[test]
fn the_table_of_what_has_no_effect_holds_what_the_reference_names_and_no_more() {
    let named: BTreeSet<&str> = DIRECTIVES
        .iter()
        .chain(ACTIONS)
        .filter(|row| row.1 == NoEffect)
        .filter_map(|row| row.0.trim_start_matches("ctl:").split([' ', ':', '=']).next())
        // An update that names no rule works; it is noted because it reached nothing.
        .filter(|name| !name.starts_with("SecRule"))
        .collect();
    let table: BTreeSet<&str> = ACCEPTED.iter().map(|row| row.name).collect();
    assert_eq!(table, named);
    let kinds: BTreeSet<AcceptedKind> = ACCEPTED.iter().map(|row| row.kind).collect();
    assert_eq!(kinds.len(), 3);
}

/// `docs/seclang.md` is made from the tables: `UPDATE_EXPECT=1` writes it.
#[test]
fn the_page_of_the_language_is_made_from_the_tables() {
    let names = |words: &[(&str, Answer)], wanted: Answer| -> String {
        let is = |row: &&(&str, Answer)| match row.1 {
            // An update that names no rule is noted for that alone; `@rbl` never matches.
            NoEffect => wanted == Works && row.0.starts_with("SecRule"),
            answer @ (Works | Refuses) => answer == wanted,
        };
        let of = words.iter().filter(is);
        of.map(|row| format!("`{}`", row.0.replace('|', "\\|"))).collect::<Vec<_>>().join(", ")
    };
    let mut page = String::from(concat!(
        "# The rule language\n\n<!-- Made from the tables in `rulesets/seclang`; ",
        "`UPDATE_EXPECT=1 cargo test -p seclang` writes it. -->\n\n",
        "SecLang as ModSecurity 3 has it. Whatever is not named here refuses to load, with its place and a caret.\n",
    ));
    for (title, words) in [
        ("Directives", DIRECTIVES),
        ("Operators", OPERATORS),
        ("Transformations", TRANSFORMATIONS),
        ("Actions", ACTIONS),
        ("Variables", VARIABLES),
    ] {
        page += &format!("\n## {title}\n\nWork: {}.\n", names(words, Works));
        let refused = names(words, Refuses);
        if !refused.is_empty() {
            page += &format!("\nRefuse to load: {refused}.\n");
        }
    }
    page += "\n## Accepted without effect\n\nA load notes each once.\n\n| word | why nothing is lost |\n|---|---|\n";
    for row in ACCEPTED {
        page += &format!("| `{}` | {} |\n", row.name, row.reason);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/seclang.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/seclang.md is old: run with UPDATE_EXPECT=1");
}
