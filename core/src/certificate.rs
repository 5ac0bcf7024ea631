//! How long certificates are still good, in files and as servers show them. Says nothing of who signed them: TLS does.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::config::Tls;
use crate::diagnosis::Finding;
use crate::error::Result;
use crate::tls::{self, span};

/// Under this, somebody should hear of it.
const SOON: i64 = 30 * 24 * 3600;

/// What there is to say of the certificates that this side brings along.
pub(crate) fn own(files: &Tls) -> Vec<Finding> {
    let mut findings = vec![match &files.ca {
        // Old and new ones may stand beside each other: the last one to expire counts.
        Some(ca) => of_file("ca", ca, tls::certificates("ca", ca), |ends| ends.max()),
        None => Finding::ok("certificates", "ca", "those of the system, as no ca was given"),
    }];
    if files.insecure {
        let found = Finding::ok("certificates", "verification", "off (insecure, or $CONSUL_HTTP_SSL_VERIFY)");
        findings.push(found.wrong("anybody may pass for the registry: verify it, with its authority as ca"));
    }
    if let Some((cert, _)) = &files.identity {
        findings.push(of_file("client", cert, tls::certificates("cert", cert), |ends| ends.min()));
    }
    if let Err(error) = tls::client(files, &[]) {
        let found = Finding::ok("certificates", "files", error.to_string());
        findings.push(found.wrong("until that is mended, no connection can be made"));
    }
    findings
}

/// What there is to say of the certificates that servers showed, each with the server's name.
pub(crate) fn shown<'a>(
    servers: impl Iterator<Item = (String, &'a [CertificateDer<'static>])>,
) -> Option<Finding> {
    let ends = servers.filter_map(|(server, chain)| Some((chain.iter().filter_map(end).min()?, server)));
    let (first, server) = ends.min()?;
    let what = format!("the first to expire is that of {server}");
    Some(judged("server", &what, first - now(), "renew it on the server"))
}

fn of_file(
    name: &'static str,
    path: &Path,
    certificates: Result<Vec<CertificateDer<'static>>>,
    pick: impl Fn(&mut dyn Iterator<Item = i64>) -> Option<i64>,
) -> Finding {
    let path = path.display().to_string();
    match certificates.map(|certificates| pick(&mut certificates.iter().filter_map(end))) {
        Ok(Some(end)) => {
            judged(name, &path, end - now(), "renew it: the file is read again for each connection")
        }
        Ok(None) => {
            Finding::ok("certificates", name, format!("{path}: it does not say how long it is valid"))
                .note("look at it with `openssl x509 -noout -text -in`")
        }
        Err(error) => Finding::ok("certificates", name, error.to_string())
            .wrong("until that is mended, no connection can be made"),
    }
}

fn judged(name: &'static str, what: &str, left: i64, remedy: &str) -> Finding {
    let time = span(left.unsigned_abs());
    match left {
        ..0 => Finding::ok("certificates", name, format!("expired {time} ago: {what}")).wrong(remedy),
        0..SOON => Finding::ok("certificates", name, format!("{time} left: {what}")).note(remedy),
        _ => Finding::ok("certificates", name, format!("{time} left: {what}")),
    }
}

/// The second of Unix time at which a certificate expires.
fn end(certificate: &CertificateDer<'_>) -> Option<i64> {
    let parsed = Certificate::from_der(certificate).ok()?;
    i64::try_from(parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs()).ok()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Level;

    #[test]
    fn what_expires_is_told_before_it_does() {
        const DAY: i64 = 24 * 3600;
        for (left, level, text) in [
            (-3 * DAY, Level::Wrong, "expired 3 days ago: x"),
            (-1, Level::Wrong, "expired 0 minutes ago: x"),
            (5 * 3600, Level::Note, "5 hours left: x"),
            (29 * DAY, Level::Note, "29 days left: x"),
            (30 * DAY, Level::Ok, "30 days left: x"),
        ] {
            let found = judged("ca", "x", left, "renew it");
            assert_eq!((found.level, &*found.value), (level, text));
        }
    }

    #[test]
    fn files_that_can_not_be_read_are_trouble() {
        let tls = Tls { ca: Some("/nowhere/ca.pem".into()), ..Tls::default() };
        let findings = own(&tls);
        assert!(findings.iter().all(|finding| finding.level == Level::Wrong), "{findings:?}");
        assert_eq!(findings.len(), 2);
    }
}
