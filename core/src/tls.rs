//! TLS towards registries: files become a rustls configuration, read anew for each connection so that they can be
//! rotated, and a handshake that failed becomes words that say what to do.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore};

use crate::config::Tls;
use crate::error::{Error, Result};

/// What to verify a server with and to present to it. `config` when a file can't be used.
pub(crate) fn client(tls: &Tls, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(format!("TLS can't be set up: {error}")))?
        .with_root_certificates(roots(tls.ca.as_deref())?);
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
            for certificate in certificates("ca", ca)? {
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

/// What a failure of TLS somewhere in a chain of causes means, and what to do. The second is whether it is the server
/// who did not accept us.
pub(crate) fn explained(error: &(dyn StdError + 'static), host: &str) -> Option<(String, bool)> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(words(error, host));
        }
        // An io::Error keeps what it wraps from its source().
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(words(error, host));
        }
        cause = error.source();
    }
    None
}

fn words(error: &rustls::Error, host: &str) -> (String, bool) {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    let ours = |words: String| (words, false);
    match error {
        rustls::Error::InvalidCertificate(bad) => ours(match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "the server's certificate has expired: renew it on the server".into()
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: look at the clocks of both machines".into()
            }
            Bad::UnknownIssuer => {
                "the server's certificate is from an authority that is not known here: name the file of that \
                 authority with ca"
                    .into()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => format!(
                "the server's certificate is not for the name {host:?} ({bad}): connect by a name that is in it, or \
                 name one with server_name"
            ),
            bad => format!("the server's certificate is not accepted: {bad}"),
        }),
        rustls::Error::InvalidMessage(_) => ours(
            "the server does not speak TLS on this port: use the scheme without s, or its TLS port".into(),
        ),
        rustls::Error::AlertReceived(alert) => {
            let why = match alert {
                Alert::CertificateRequired => "the server asks for a client certificate: give cert and key",
                Alert::CertificateExpired => {
                    "the server says that our certificate has expired: renew cert and key"
                }
                Alert::UnknownCA
                | Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::AccessDenied => {
                    "the server does not accept our certificate: give a cert of an authority that it knows"
                }
                alert => return ours(format!("the server ended the TLS handshake: {alert:?}")),
            };
            (format!("{why} ({alert:?})"), true)
        }
        error => ours(format!("TLS failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

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
        let (words, refused) = explained(&error, "h").unwrap();
        assert!(words.contains("name the file of that authority with ca") && !refused, "{words}");
    }
}
