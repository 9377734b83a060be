//! The lines that `portcullis run` prints for a newcomer to copy, each with what it answers.

use std::fmt::Write as _;
use std::path::Path;

use super::Demo;

/// Where the newcomer's commands go.
#[derive(Clone, Debug)]
pub struct Tour<'a> {
    /// The program, as it can be typed.
    pub program: &'a str,
    /// `https://127.0.0.1:8443`.
    pub base: String,
    /// The certificate to trust.
    pub certificate: &'a Path,
    /// The admin socket.
    pub socket: &'a Path,
    /// The data directory.
    pub data_dir: &'a Path,
    /// The demonstration license.
    pub demo: &'a Demo,
}

/// Writes the lines in the order in which they work: seats first, the ban last.
#[must_use]
pub fn tour(tour: &Tour<'_>) -> String {
    let Tour { program, base, certificate, socket, data_dir, demo } = tour;
    let (certificate, socket, data) = (certificate.display(), socket.display(), data_dir.display());
    let curl = format!("curl -s --cacert {certificate}");
    let acquire = format!(
        "{curl} -w '\\n%{{http_code}}\\n' -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \
         -d '{{\"license_key\":\"{}\",\"machine_id\":\"laptop-1\"}}' {base}/api/v1/license/acquire",
        demo.key
    );
    let id = "sed -n 's/.*\"session_id\":\"\\([^\"]*\\)\".*/\\1/p'";
    let auth = "-H \"Authorization: Bearer $TOKEN\"";
    let session = format!("{base}/api/v1/license/sessions/$SESSION");
    let steps = [
        (
            format!("TOKEN=$({program} dev token --data {data} --tenant {} --user alice)", demo.tenant),
            "a token of the development issuer, valid for an hour".to_owned(),
        ),
        (acquire.clone(), format!("201: one of {} seats (200 when laptop-1 holds it already)", demo.seats)),
        (
            format!("SESSION=$({acquire} | {id}); echo $SESSION"),
            "the session's id: the same seat, not a second one".to_owned(),
        ),
        (
            format!("{curl} -w '\\n%{{http_code}}\\n' -X PATCH {auth} {session}/heartbeat"),
            "200: the lease is longer again".to_owned(),
        ),
        (
            format!("{curl} -w '\\n%{{http_code}}\\n' -X DELETE {auth} {session}"),
            "204: the seat is free".to_owned(),
        ),
        (
            format!("{curl} -w '\\n%{{http_code}}\\n' '{base}/health?id=1%27%20OR%20%271%27=%271'"),
            "403: an SQL injection; the license service saw nothing of it".to_owned(),
        ),
        (
            format!("{program} incidents ls --socket {socket}"),
            "the incident that it is; here (`dry_run`) nothing is done about it but written down"
                .to_owned(),
        ),
        (
            format!(
                "for i in $(seq 101); do {curl} -o /dev/null -w '%{{http_code}}\\n' {base}/health; done | sort | uniq -c"
            ),
            "200 for the first 100 of a minute without a token (the injection above is one of them), then 429: banned for 600 s".to_owned(),
        ),
        (format!("{program} ban ls --socket {socket}"), "the ban of 127.0.0.1".to_owned()),
        (
            format!("{program} ban rm 127.0.0.1 --socket {socket}"),
            "the ban is lifted; the next request is answered again".to_owned(),
        ),
    ];
    let mut text = String::new();
    for (line, answer) in steps {
        writeln!(text, "  # {answer}\n  {line}\n").expect("a string takes all text");
    }
    text
}
