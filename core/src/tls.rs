//! TLS towards registries: files become a rustls configuration, read anew for each connection so that they can be
//! rotated, and a handshake that failed becomes words that say what to do.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use crate::config::Tls;
use crate::error::{Code, Error, Result};

/// What to verify a server with and to present to it. `config` when a file can't be used.
pub(crate) fn client(tls: &Tls, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(format!("TLS can't be set up: {error}")))?;
    let builder = match tls.insecure {
        false => builder.with_root_certificates(roots(tls.ca.as_deref())?),
        true => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates("cert", cert)?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("key", key, &error))?;
            builder.with_client_auth_cert(chain, key_der).map_err(|error| {
                let what = format!("cert {} and key {} do not go together", cert.display(), key.display());
                Error::config(what).with_cause(error)
            })?
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// For connections that have no TLS, to those who want a configuration nevertheless.
#[cfg(feature = "consul")]
pub(crate) fn unused() -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(format!("TLS can't be set up: {error}")))?;
    Ok(Arc::new(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()))
}

/// The name that the server's certificate must have.
pub(crate) fn server_name(tls: &Tls, host: &str) -> Result<ServerName<'static>> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned())
        .map_err(|_| Error::config(format!("server_name {name:?} is neither a DNS name nor an IP address")))
}

/// The certificates of a PEM file; none is an error.
pub(crate) fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(option, path, &error));
    match all {
        Ok(all) if all.is_empty() => Err(unusable(option, path, &"there is no certificate in it")),
        all => all,
    }
}

fn unusable(option: &str, path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::config(format!(
        "{option} {} can't be used: {why}; it has to be a readable PEM file",
        path.display()
    ))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(ca) => {
            for certificate in authorities(ca)? {
                roots.add(certificate).map_err(|error| unusable("ca", ca, &error))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if roots.is_empty() {
                return Err(Error::config(
                    "the system has no certificate authorities: install them (package ca-certificates) or give ca",
                ));
            }
        }
    }
    Ok(roots)
}

/// The certificates of a file, or of all files of a folder that are certificates.
fn authorities(ca: &Path) -> Result<Vec<CertificateDer<'static>>> {
    if !ca.is_dir() {
        return certificates("ca", ca);
    }
    let files = std::fs::read_dir(ca).map_err(|error| unusable("ca", ca, &error))?;
    let mut paths: Vec<_> = files.flatten().map(|file| file.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let all: Vec<_> = paths.iter().filter_map(|path| certificates("ca", path).ok()).flatten().collect();
    if all.is_empty() {
        return Err(unusable("ca", ca, &"no file in it has a certificate"));
    }
    Ok(all)
}

/// Takes anybody for the server, as somebody asked for in so many words.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a failure of TLS somewhere in a chain of causes means, with what to do: `unauthenticated` if it is the server who
/// did not accept us.
pub(crate) fn explained(error: &(dyn StdError + 'static), host: &str, tls: &Tls) -> Option<Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(words(error, host, tls));
        }
        // An io::Error keeps what it wraps from its source(), and may be wrapped in one itself.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn words(error: &rustls::Error, host: &str, tls: &Tls) -> Error {
    let (code, why) = match error {
        rustls::Error::InvalidCertificate(bad) => {
            return Error::new(Code::Unavailable, of_server(bad, host, tls));
        }
        rustls::Error::AlertReceived(alert) => of_alert(*alert, tls),
        rustls::Error::InvalidMessage(_) => (
            Code::Unavailable,
            "the server does not speak TLS on this port: use its TLS port, or the URL without the s of its scheme".into(),
        ),
        _ => (Code::Unavailable, "TLS failed".into()),
    };
    Error::new(code, why).with_cause(error.clone())
}

/// What is wrong with the server's certificate.
fn of_server(bad: &CertificateError, host: &str, tls: &Tls) -> String {
    use CertificateError as Bad;
    let apart = |one: &UnixTime, other: &UnixTime| span(one.as_secs().abs_diff(other.as_secs()));
    match bad {
        Bad::ExpiredContext { time, not_after } => format!(
            "the server's certificate expired {} ago: renew it on the server",
            apart(time, not_after)
        ),
        Bad::NotValidYetContext { time, not_before } => format!(
            "the server's certificate is not valid for another {}: look at the clocks of both machines",
            apart(time, not_before)
        ),
        Bad::UnknownIssuer => match &tls.ca {
            Some(ca) => format!(
                "the server's certificate is from another authority than those in {}: give the file of the right one as ca",
                ca.display()
            ),
            None => "the server's certificate is from no authority that this system knows: give the file of its authority \
                     as ca"
                .into(),
        },
        Bad::NotValidForNameContext { presented, .. } => {
            let name = tls.server_name.as_deref().unwrap_or(host);
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            format!(
                "the server's certificate is not for {name} but for {}: connect by a name that it is for, or give one as \
                 server_name",
                names.join(", ")
            )
        }
        bad => format!("the server's certificate is not accepted: {bad}"),
    }
}

/// What a server says of us when it ends the connection.
fn of_alert(alert: AlertDescription, tls: &Tls) -> (Code, String) {
    use AlertDescription as Alert;
    let why = match (alert, &tls.identity) {
        (Alert::CertificateExpired, Some((cert, _))) => format!(
            "the server does not take our certificate {} any more, as it has expired: renew it",
            cert.display()
        ),
        (
            Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown | Alert::AccessDenied,
            Some((cert, _)),
        ) => format!(
            "the server does not accept our certificate {}: give one as cert that is from an authority which the server \
             knows, and is for clients",
            cert.display()
        ),
        // Up to TLS 1.2 there is no word for a certificate that is missing.
        (Alert::CertificateRequired, _) | (Alert::BadCertificate | Alert::HandshakeFailure, None) => {
            "the server asks for a client certificate: give cert and key".into()
        }
        (alert, _) => return (Code::Unavailable, format!("the server ended the TLS connection: {alert:?}")),
    };
    (Code::Unauthenticated, why)
}

/// `localhost` of `DnsName("localhost")`.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, name)| name.trim_end_matches(')')).trim_matches('"')
}

/// A time for a person: in days, or in hours where it is less than two.
pub(crate) fn span(seconds: u64) -> String {
    match seconds / 3600 {
        0 => format!("{} minutes", seconds / 60),
        hours @ 1..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_can_not_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for path in [empty, folder.path().join("none.pem")] {
            let tls = Tls { ca: Some(path.clone()), ..Tls::default() };
            let error = client(&tls, &[]).unwrap_err();
            assert_eq!(error.code(), Code::Config);
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_cause_is_found_within_an_io_error() {
        let rustls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let io = std::io::Error::new(std::io::ErrorKind::InvalidData, rustls);
        let error = Error::config("outer").with_cause(io);
        let explained = explained(&error, "h", &Tls::default()).unwrap();
        assert!(explained.message().contains("as ca") && !explained.refused(), "{explained}");
    }
}
