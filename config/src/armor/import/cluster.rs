//! What is to be said of GKE's resources around a policy.

use super::findings::{Findings, Grade};
use super::kubernetes::{self, CONFIG_ANNOTATIONS, Resource};
use super::terraform::Attachment;
use crate::Location;

/// What GKE's resources say of a policy, and what they do not.
pub(super) fn cluster(attachments: &[Attachment], resources: &[Resource], findings: &mut Findings) {
    for resource in resources {
        match resource.kind.as_str() {
            "BackendConfig" => backend_config(attachments, resource, findings),
            "Ingress" => ingress(resources, resource, findings),
            // Looked up by those that name them.
            "Service" | "ManagedCertificate" => {}
            _ => not_read(resource, findings),
        }
    }
}

/// Resources of policies that are read from elsewhere are grave; the rest is good to know.
fn not_read(resource: &Resource, findings: &mut Findings) {
    let kind = resource.kind.as_str();
    let (grade, fix) = match kind {
        "ComputeSecurityPolicy" => (
            Grade::High,
            "import what `gcloud compute security-policies export` writes of the policy",
        ),
        "GCPBackendPolicy" => (Grade::High, "write its `securityPolicy` as the backend's `policy`"),
        _ => (Grade::Info, "policies, BackendConfig, Ingress and ManagedCertificate are read"),
    };
    let message = format!("the {kind} `{}` is not read", resource.name);
    findings.push(grade, "not-imported", message, fix, place(resource));
}

fn backend_config(attachments: &[Attachment], resource: &Resource, findings: &mut Findings) {
    let message = format!(
        "the BackendConfig `{}` becomes a backend: its probe, timeout, drain and policy",
        resource.name
    );
    let fix = "`-o DIR` writes it";
    findings.push(Grade::Info, "backend-importable", message, fix, place(resource));
    let policy = kubernetes::get(&resource.tree, &["spec", "securityPolicy", "name"]);
    let by_terraform = attachments.iter().any(|attachment| attachment.policy.is_some());
    if let (Some(policy), true) = (policy, by_terraform) {
        let name = kubernetes::text(policy).unwrap_or_default();
        let message =
            format!("`{name}` is attached by Terraform and by this BackendConfig: two owners");
        let fix = "keep one; GKE overwrites what Terraform sets on its backend services";
        findings.push(Grade::Warning, "two-owners", message, fix, Some(resource.at(policy)));
    }
}

fn ingress(resources: &[Resource], resource: &Resource, findings: &mut Findings) {
    let annotation =
        |name: &str| kubernetes::get(&resource.tree, &["metadata", "annotations", name]);
    for name in CONFIG_ANNOTATIONS {
        let Some(value) = annotation(name) else { continue };
        let message = format!(
            "`{name}` stands on the Ingress `{}`, and GKE reads it on the Service",
            resource.name
        );
        let fix = "policy, timeout, draining and health check were likely never applied; here each backend names its policy";
        findings.push(
            Grade::High,
            "backend-config-on-ingress",
            message,
            fix,
            Some(resource.at(value)),
        );
    }
    unguarded(resources, resource, findings);
    certificates(resources, resource, findings);
    if annotation("networking.gke.io/v1beta1.FrontendConfig").is_none() {
        let message = format!(
            "the Ingress `{}` names no FrontendConfig: Google's default takes TLS 1.0 and later",
            resource.name
        );
        let fix = "here `versions: [\"1.3\"]` is the default of every listener";
        findings.push(Grade::Warning, "tls-policy-absent", message, fix, place(resource));
    }
}

fn place(resource: &Resource) -> Option<Location> {
    kubernetes::get(&resource.tree, &["metadata", "name"]).map(|name| resource.at(name))
}

/// Hosts with a service for which no Service resource names a BackendConfig with a policy.
fn unguarded(resources: &[Resource], resource: &Resource, findings: &mut Findings) {
    let has_policy = |config: &str| {
        resources.iter().any(|other| {
            other.kind == "BackendConfig"
                && other.name == config
                && kubernetes::get(&other.tree, &["spec", "securityPolicy", "name"]).is_some()
        })
    };
    let is_guarded = |service: &str| {
        resources.iter().filter(|other| other.kind == "Service" && other.name == service).any(
            |other| kubernetes::backend_configs(other).iter().any(|(_, _, name)| has_policy(name)),
        )
    };
    let hosts: Vec<&str> = kubernetes::hosts(resource)
        .iter()
        .filter(|(_, paths)| paths.iter().any(|(_, service, _)| !is_guarded(service)))
        .map(|(host, _)| *host)
        .collect();
    if hosts.is_empty() {
        return;
    }
    let message = format!("no Service of {} is seen to have a policy", hosts.join(", "));
    let fix = "write `policy:` at every backend; `check` names those without one";
    findings.push(Grade::High, "hosts-without-policy", message, fix, place(resource));
}

fn certificates(resources: &[Resource], resource: &Resource, findings: &mut Findings) {
    let named = kubernetes::get(
        &resource.tree,
        &["metadata", "annotations", "networking.gke.io/managed-certificates"],
    );
    let names: Vec<&str> = named
        .and_then(kubernetes::text)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let mut domains = Vec::new();
    for name in &names {
        let known = resources
            .iter()
            .find(|other| other.kind == "ManagedCertificate" && other.name == *name);
        if let Some(known) = known {
            domains.extend(kubernetes::domains(known));
            continue;
        }
        let message = format!("the Ingress names the certificate `{name}`, and no file defines it");
        let fix = "name the files under `certificates`";
        let at = named.map(|named| resource.at(named));
        findings.push(Grade::Warning, "certificate-unknown", message, fix, at);
    }
    for (host, _) in kubernetes::hosts(resource) {
        if !domains.is_empty() && !domains.contains(&host) {
            let message = format!("no certificate of the Ingress names `{host}`");
            let fix = "add the name, or a certificate for it";
            findings.push(Grade::Warning, "certificate-misses-host", message, fix, place(resource));
        }
    }
}
