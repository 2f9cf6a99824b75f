//! A CA for `*.localhost` and one certificate under it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints,
};

use super::Problem;

/// PEM texts.
pub(super) struct Made {
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A new CA and a new certificate. The CA's key is never written: once this returns, nobody can sign another
/// certificate that a browser with this CA would believe.
pub(super) fn make() -> Result<Made, Problem> {
    try_make().map_err(|problem| Problem(format!("failed to make the demo's certificate: {problem}")))
}

/// Whether there is no certificate, or one that expires within a month or two.
pub(super) fn is_due(certificate: &Path) -> bool {
    let age = certificate.metadata().and_then(|metadata| metadata.modified()).map(|made| made.elapsed());
    !matches!(age, Ok(Ok(age)) if age < VALID - 60 * DAY)
}

fn try_make() -> Result<Made, rcgen::Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let dated = |mut params: CertificateParams| {
        // A day back, for clocks that differ.
        params.not_before = epoch + now.saturating_sub(DAY);
        params.not_after = epoch + now + VALID;
        params
    };

    let mut ca = dated(CertificateParams::default());
    ca.distinguished_name.push(DnType::CommonName, "Doorward demo CA, for this machine only");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Whoever trusts this CA trusts it for names below `localhost` only (RFC 5280 §4.2.1.10).
    ca.name_constraints =
        Some(NameConstraints { permitted_subtrees: vec![GeneralSubtree::DnsName("localhost".into())], excluded_subtrees: vec![] });
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let mut server = dated(CertificateParams::new(NAMES.map(str::to_owned))?);
    server.distinguished_name.push(DnType::CommonName, "Doorward demo");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &ca)?;
    Ok(Made { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

const NAMES: [&str; 4] = ["cms.localhost", "iot.localhost", "api.localhost", "localhost"];
const DAY: Duration = Duration::from_secs(86_400);
/// Browsers refuse certificates that live longer than this.
const VALID: Duration = Duration::from_secs(396 * 86_400);
