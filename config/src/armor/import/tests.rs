//! Terraform's language, and the seeds' own files where they can be found.

use std::path::PathBuf;

use super::*;
use crate::armor;

/// Returns a seed's text; the folder `shared` stands beside the repository, or where `PORTCULLIS_SHARED` says.
fn seed(name: &str) -> Option<SourceFile> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from);
    let beside = root
        .ancestors()
        .map(|folder| folder.join("shared"))
        .find(|folder| folder.join("seeds").is_dir());
    let text = given
        .or(beside)
        .and_then(|shared| std::fs::read_to_string(shared.join("seeds").join(name)).ok());
    if text.is_none() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "the seed {name} is required");
        println!("skipped: the seed {name} is not beside the repository");
    }
    text.map(|text| SourceFile::new(name, text))
}

fn ids(import: &Import) -> Vec<&'static str> {
    import.findings.iter().map(|finding| finding.diagnostic.code).collect()
}

#[test]
fn terraform_is_read_with_its_heredocs_comments_and_references() {
    let text = r#"
# A comment
resource "google_compute_security_policy" "p" {
  name = "p" // another
  /* and a third */
  rule {
    action   = "deny(403)"
    priority = "1000"
    match {
      expr {
        expression = <<-EOT
          request.path == '/a' ||
            request.hots == 'b'
        EOT
      }
    }
  }
  dynamic_thing = [for x in var.y : upper(x)]
}
"#;
    let import = import(&[SourceFile::new("a.tf", text)]);
    let broken = &import.policies[0].broken[0];
    assert_eq!(broken.priority, Some(1000));
    assert_eq!(broken.problems[0].at.as_ref().unwrap().text(), "request.hots");
    assert!(
        import.problems.iter().any(|problem| problem.code == "unknown-key"),
        "{:?}",
        import.problems
    );
    for broken in [
        "resource \"a\" \"b\" {",
        "a = ",
        "a = \"b",
        "a = <<E\nb\n",
        "a = [\"b\" \"c\"]",
        "= 1",
        "a b c",
        "a = {b}",
    ] {
        let found = super::import(&[SourceFile::new("a.tf", broken)]);
        assert_eq!(found.problems.iter().map(|p| p.code).collect::<Vec<_>>(), ["hcl"], "{broken}");
    }
}

#[test]
fn rules_of_their_own_join_their_policy() {
    let text = r#"
resource "google_compute_security_policy" "p" {
  name = "p"
  rule {
    action = "allow"
    priority = 2147483647
    match {
      versioned_expr = "SRC_IPS_V1"
      config { src_ip_ranges = ["*"] }
    }
  }
}
resource "google_compute_security_policy_rule" "r" {
  security_policy = google_compute_security_policy.p.name
  action = "throttle"
  priority = 5
  match {
    versioned_expr = "SRC_IPS_V1"
    config {
      src_ip_ranges = ["192.0.2.0/24"]
    }
  }
  rate_limit_options {
    conform_action = "allow"
    exceed_action  = "deny(429)"
    enforce_on_key = ""
    enforce_on_key_configs { enforce_on_key_type = "IP" }
    enforce_on_key_configs {
      enforce_on_key_type = "HTTP_HEADER"
      enforce_on_key_name = "x-key"
    }
    rate_limit_threshold {
      count = 5
      interval_sec = 60
    }
  }
}
"#;
    let import = import(&[SourceFile::new("a.tf", text)]);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    let policy = &import.policies[0].policy;
    assert_eq!(
        policy.rules.iter().map(|rule| rule.priority).collect::<Vec<_>>(),
        [5, 2_147_483_647]
    );
    assert!(
        matches!(&policy.rules[0].action, armor::Action::Throttle(limit) if limit.keys.len() == 2)
    );
}

#[test]
fn a_regional_rule_of_its_own_joins_without_what_terraform_keeps_of_it() {
    let text = r#"
resource "google_compute_region_security_policy" "r" {
  name = "r"
  region = "europe-west1"
  rules {
    action = "allow"
    priority = 2147483647
    match {
      versioned_expr = "SRC_IPS_V1"
      config { src_ip_ranges = ["*"] }
    }
  }
}
resource "google_compute_region_security_policy_rule" "x" {
  project = "p"
  region = "europe-west1"
  security_policy = google_compute_region_security_policy.r.name
  action = "deny(403)"
  priority = 200
  match { expr { expression = "origin.asn == 64500" } }
  lifecycle { prevent_destroy = true }
}
"#;
    let import = import(&[SourceFile::new("a.tf", text)]);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    assert_eq!(import.policies[0].policy.rules[0].priority, 200);
    assert!(!ids(&import).contains(&"not-imported"));
}

#[test]
fn what_is_not_taken_over_is_told() {
    let stray = r#"
resource "google_compute_organization_security_policy" "o" {
  parent = "organizations/1"
}
resource "google_compute_security_policy_rule" "r" {
  security_policy = google_compute_security_policy.elsewhere.name
  action = "deny(403)"
  priority = 5
}
module "edge" {
  source = "GoogleCloudPlatform/cloud-armor/google"
}
"#;
    let connector = "apiVersion: compute.cnrm.cloud.google.com/v1beta1\nkind: ComputeSecurityPolicy\nmetadata: { name: k }\n";
    let import = import(&[SourceFile::new("a.tf", stray), SourceFile::new("k.yaml", connector)]);
    assert!(import.problems.is_empty() && import.policies.is_empty(), "{import:?}");
    let told: Vec<String> = import
        .findings
        .iter()
        .filter(|finding| finding.diagnostic.code == "not-imported")
        .map(|finding| finding.diagnostic.message.clone())
        .collect();
    for part in [
        "google_compute_organization_security_policy.o` stands above",
        "google_compute_security_policy_rule.r` belongs to a policy that is not in its file",
        "the module `edge` makes a policy",
        "the ComputeSecurityPolicy `k` is not read",
    ] {
        assert!(told.iter().any(|message| message.contains(part)), "{part}: {told:?}");
    }
}

#[test]
fn the_first_seed_is_told_what_it_does_not_do() {
    let Some(source) = seed("policy-a.tf") else { return };
    let import = import(&[source]);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    let ids = ids(&import);
    for wanted in [
        "unknown-waf-set",
        "listed-countries-bypass",
        "countries-not-denied",
        "countries-not-the-union",
        "shadowed-by-match-all",
        "no-waf-reached",
        "in-not-on-google",
        "deprecated-expr",
        "old-rule-set",
        "opt-outs-leave-noise",
        "opt-outs-are-level-one",
        "opt-out-gone",
        "adaptive-alerts-only",
        "json-parsing-off",
        "never-previewed",
        "one-limit-for-all",
        "ban-outlasts-lease",
        "attachment",
        "moving-volumetric",
    ] {
        assert!(ids.contains(&wanted), "{wanted}: {ids:?}");
    }
    assert_eq!(import.policies[0].broken[0].priority, Some(5000));
}

#[test]
fn the_second_seed_is_told_that_its_rate_rule_shadows_everything() {
    let (Some(one), Some(two)) = (seed("policy-a.tf"), seed("policy-b.tf")) else { return };
    let import = import(std::slice::from_ref(&two));
    let shadow =
        import.findings.iter().find(|f| f.diagnostic.code == "shadowed-by-match-all").unwrap();
    assert!(
        shadow.diagnostic.message.contains("2000, 3000, 4000"),
        "{}",
        shadow.diagnostic.message
    );
    assert_eq!(shadow.grade, Grade::Critical);
    assert!(ids(&import).contains(&"no-waf-reached"));
    assert!(!ids(&import).contains(&"listed-countries-bypass"));
    assert!(ids(&super::import(&[one, two])).contains(&"policy-defined-twice"));
}

#[test]
fn a_fixed_seed_loads_and_has_no_finding_of_order_left() {
    for name in ["policy-a.tf", "policy-b.tf"] {
        let Some(source) = seed(name) else { return };
        let import = import(&[source]);
        for reach in [Reach::Enforce, Reach::Preview] {
            let fixed = fix(&import.policies[0], reach);
            let source = SourceFile::new("fixed.yaml", fixed.yaml.clone());
            let (policy, warnings) = armor::parse(&source)
                .unwrap_or_else(|problems| panic!("{}\n{problems:?}", fixed.yaml));
            assert!(warnings.is_empty(), "{warnings:?}");
            let again = super::import(&[source]);
            for gone in [
                "shadowed-by-match-all",
                "no-waf-reached",
                "listed-countries-bypass",
                "countries-not-denied",
            ] {
                assert!(!ids(&again).contains(&gone), "{name} {gone}\n{}", fixed.yaml);
            }
            let previews = policy.rules.iter().filter(|rule| rule.preview).count();
            assert_eq!(previews > 0, reach == Reach::Preview, "{}", fixed.yaml);
        }
    }
}

#[test]
fn what_is_written_is_read_back_alike() {
    let source = armor::builtin("license-api").unwrap();
    let (policy, _) = armor::parse(&source).unwrap();
    let written = armor::write(&policy);
    let (again, _) = armor::parse(&SourceFile::new("again", written.clone()))
        .unwrap_or_else(|p| panic!("{written}\n{p:?}"));
    assert_eq!(armor::write(&again), written);
    assert_eq!(again.rules.len(), policy.rules.len());
}

#[test]
fn the_seeds_cluster_becomes_backends_and_hosts_with_its_findings() {
    let names = ["policy-a.tf", "backend-config-license-api.yaml", "unified-ingress.yaml"];
    let sources: Vec<SourceFile> = names.into_iter().filter_map(seed).collect();
    if sources.len() < names.len() {
        return;
    }
    let import = import(&sources);
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    let ids = ids(&import);
    for wanted in [
        "two-owners",
        "backend-config-on-ingress",
        "hosts-without-policy",
        "backend-importable",
        "tls-policy-absent",
        "moving-cost",
    ] {
        assert!(ids.contains(&wanted), "{wanted}: {ids:?}");
    }
    assert!(!ids.contains(&"certificate-unknown"));
    assert!(!ids.contains(&"certificate-misses-host"));
    for finding in &import.findings {
        let id = finding.diagnostic.code;
        assert!(!explanation(id).is_empty(), "{id} has no explanation");
    }
    let plan = &import.plan;
    assert!(plan.https_only);
    let license = &plan.backends["coditect-license-api"];
    assert_eq!(license.policy.as_deref(), Some("license-api-security-policy"));
    assert_eq!((license.timeout_secs, license.drain_secs), (Some(30), Some(60)));
    assert_eq!(license.server, "coditect-license-api.coditect-app.svc.cluster.local:80");
    assert_eq!(plan.hosts.iter().map(|host| host.routes.len()).sum::<usize>(), 6);
    let file = PolicyFile {
        name: "license-api-security-policy".to_owned(),
        file: "policies/license-api-security-policy.yaml".to_owned(),
    };
    let text = skeleton(plan, &[file], &["known-bad".to_owned()]);
    for part in [
        "timeout: 30s",
        "drain: 60s",
        "path: /health, every: 10s, timeout: 5s, healthy: 2, unhealthy: 3",
        "licenses.coditect.ai:",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn two_definitions_of_one_policy_stand_beside_each_other() {
    let (Some(one), Some(two)) = (seed("policy-a.tf"), seed("policy-b.tf")) else { return };
    let import = import(&[one, two]);
    let pairs = twice(&import);
    let [pair] = pairs.as_slice() else { panic!("{pairs:?}") };
    assert_eq!(pair.name, "license-api-security-policy");
    let first = pair.rules.iter().find(|row| row.priority == 1000).unwrap();
    assert!(first.rules[0].starts_with("allow: origin.region_code in"), "{first:?}");
    assert!(first.rules[1].starts_with("rate_based_ban 100 in 60 s: *"), "{first:?}");
    let alone = pair.rules.iter().find(|row| row.priority == 5000).unwrap();
    assert!(alone.rules[0].contains("project-shield"), "{alone:?}");
    assert_eq!(alone.rules[1], "");
}

const STAFF: &str = "\
apiVersion: cloud.google.com/v1
kind: BackendConfig
metadata: { name: staff-config }
spec:
  iap: { enabled: true, oauthclientCredentials: { secretName: iap-oauth-client-secret } }
---
apiVersion: v1
kind: Service
metadata: { name: staff, annotations: { cloud.google.com/backend-config: '{\"default\": \"staff-config\"}' } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: all, namespace: web }
spec:
  rules:
    - host: admin.example.com
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: staff, port: { number: 80 } } } }] }
    - host: www.example.com
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: shop, port: { number: 80 } } } }] }
";

#[test]
fn what_iap_stood_before_asks_for_people_and_is_never_open() {
    let import = import(&[SourceFile::new("staff.yaml", STAFF)]);
    let plan = &import.plan;
    assert_eq!(plan.backends["staff"].iap, Some(Some("iap-oauth-client-secret".to_owned())));
    assert_eq!(plan.backends["shop"].iap, None);
    let text = skeleton(plan, &[], &[]);
    for part in [
        "issuer: https://accounts.google.com",
        "- { path: /, backend: staff, identity: { any: [staff] } }",
        "- { path: /, backend: shop, identity: none }",
        "#   client_secret: file:client.secret   # from the secret `iap-oauth-client-secret`",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let without = STAFF.replace("enabled: true", "enabled: false");
    let off = super::import(&[SourceFile::new("staff.yaml", without.as_str())]);
    assert!(!skeleton(&off.plan, &[], &[]).contains("accounts.google.com"));
}
