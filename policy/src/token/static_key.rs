//! A key that the operator holds: a certificate or a public key in a file, what tokens call it, and when it counts.

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::Algorithm;
use super::keys::{ed25519_key, p256_key, p384_key, rsa_key};
use crate::time::Timestamp;

/// One key that was checked when it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticKey {
    id: Box<str>,
    material: Material,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Points, uncompressed.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Why a file is no key that could be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StaticKeyFault {
    #[error("it holds neither a PEM certificate nor a PEM public key")]
    NotPem,
    #[error("it holds a private key: whoever reads it can sign tokens")]
    Private,
    #[error("it holds more than one certificate or key")]
    Several,
    #[error("what it holds cannot be read as a certificate or public key")]
    Damaged,
    #[error("its kind of key is not known here")]
    Kind,
    #[error("the key is too weak or malformed")]
    Weak,
    #[error("it ends before it begins")]
    NeverCounts,
}

impl StaticKey {
    /// Reads a certificate or a public key (SPKI), PEM. Of a certificate's validity and the one given, what lies in both counts.
    ///
    /// # Errors
    /// [`StaticKeyFault`].
    pub fn read(id: &str, pem: &[u8], not_before: Option<Timestamp>, not_after: Option<Timestamp>) -> Result<Self, StaticKeyFault> {
        let blocks: Vec<Pem> = Pem::iter_from_buffer(pem).collect::<Result<_, _>>().map_err(|_| StaticKeyFault::Damaged)?;
        if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
            return Err(StaticKeyFault::Private);
        }
        let [block] = blocks.as_slice() else {
            return Err(if blocks.is_empty() { StaticKeyFault::NotPem } else { StaticKeyFault::Several });
        };
        let (material, own) = match block.label.as_str() {
            "CERTIFICATE" => {
                let certificate = whole(X509Certificate::from_der(&block.contents))?;
                let validity = certificate.validity();
                let own = [validity.not_before.timestamp(), validity.not_after.timestamp()].map(|seconds| Some(Timestamp(seconds)));
                (Material::read(certificate.public_key())?, own)
            }
            "PUBLIC KEY" => (Material::read(&whole(SubjectPublicKeyInfo::from_der(&block.contents))?)?, [None, None]),
            _ => return Err(StaticKeyFault::NotPem),
        };
        let [own_begin, own_end] = own;
        let not_before = own_begin.into_iter().chain(not_before).max();
        let not_after = own_end.into_iter().chain(not_after).min();
        if not_before.zip(not_after).is_some_and(|(begin, end)| end < begin) {
            return Err(StaticKeyFault::NeverCounts);
        }
        let key = Self { id: id.into(), material, not_before, not_after };
        if Algorithm::ALL.iter().any(|algorithm| key.fits(*algorithm)) { Ok(key) } else { Err(StaticKeyFault::Weak) }
    }

    /// What tokens call it (`kid`).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The last second at which it counts; `None`: it has no end.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// Whether tokens of this algorithm can be verified with it.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.parsed(algorithm).is_some()
    }

    /// RFC 5280 §4.1.2.5: both ends belong to it.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|begin| begin <= now) && self.not_after.is_none_or(|end| now <= end)
    }

    /// The moments from which on it counts, or no longer does.
    pub fn changes(&self) -> impl Iterator<Item = Timestamp> {
        self.not_before.into_iter().chain(self.not_after.map(|end| Timestamp(end.0.saturating_add(1))))
    }

    pub(super) fn parsed(&self, algorithm: Algorithm) -> Option<ParsedPublicKey> {
        match (&self.material, algorithm) {
            (Material::Rsa { n, e }, _) => rsa_key(n, e, algorithm),
            (Material::P256(point), Algorithm::Es256) => p256_key(point),
            (Material::P384(point), Algorithm::Es384) => p384_key(point),
            (Material::Ed25519(bytes), Algorithm::EdDsa) => ed25519_key(bytes),
            _ => None,
        }
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticKey")
            .field("id", &self.id)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Material {
    fn read(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, StaticKeyFault> {
        let bytes: &[u8] = &info.subject_public_key.data;
        let kind = &info.algorithm.algorithm;
        if *kind == OID_PKCS1_RSAENCRYPTION {
            let key = whole(RSAPublicKey::from_der(bytes))?;
            return Ok(Self::Rsa { n: key.modulus.to_vec(), e: key.exponent.to_vec() });
        }
        if *kind == OID_SIG_ED25519 {
            return Ok(Self::Ed25519(bytes.to_vec()));
        }
        if *kind != OID_KEY_TYPE_EC_PUBLIC_KEY {
            return Err(StaticKeyFault::Kind);
        }
        // RFC 5480 §2.1.1: the curve by its name.
        let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        match curve {
            Some(curve) if curve == OID_EC_P256 => Ok(Self::P256(bytes.to_vec())),
            Some(curve) if curve == OID_NIST_EC_P384 => Ok(Self::P384(bytes.to_vec())),
            _ => Err(StaticKeyFault::Kind),
        }
    }
}

/// What was read, if nothing follows it.
fn whole<T, E>(read: Result<(&[u8], T), E>) -> Result<T, StaticKeyFault> {
    match read {
        Ok(([], value)) => Ok(value),
        Ok(_) | Err(_) => Err(StaticKeyFault::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, date_time_ymd};

    use super::*;

    fn read(pem: &str) -> Result<StaticKey, StaticKeyFault> {
        StaticKey::read("kid", pem.as_bytes(), None, None)
    }

    /// 2020 to 2030.
    fn certificate(key: &KeyPair) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        params.self_signed(key).unwrap().pem()
    }

    #[test]
    fn jwt_11_a_key_is_for_the_algorithms_of_its_kind_alone() {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let rows: [(_, &[Algorithm]); 4] = [
            (&PKCS_RSA_SHA256, &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512]),
            (&PKCS_ECDSA_P256_SHA256, &[Es256]),
            (&PKCS_ECDSA_P384_SHA384, &[Es384]),
            (&PKCS_ED25519, &[EdDsa]),
        ];
        for (kind, algorithms) in rows {
            let pair = KeyPair::generate_for(kind).unwrap();
            for pem in [pair.public_key_pem(), certificate(&pair)] {
                let key = read(&pem).unwrap();
                for algorithm in Algorithm::ALL {
                    assert_eq!(key.fits(*algorithm), algorithms.contains(algorithm), "{kind:?} {algorithm:?}");
                }
            }
        }
    }

    #[test]
    fn of_two_validities_what_lies_in_both_counts() {
        let pair = KeyPair::generate().unwrap();
        let [begin, end] = [1_577_836_800, 1_893_456_000].map(Timestamp);
        let (day, pem) = (86_400, certificate(&pair));
        let of = |from: Option<i64>, until: Option<i64>| StaticKey::read("kid", pem.as_bytes(), from.map(Timestamp), until.map(Timestamp));
        let rows = [
            ("its own", of(None, None), begin, end),
            ("wider", of(Some(0), Some(end.0 + day)), begin, end),
            ("narrower", of(Some(begin.0 + day), Some(end.0 - day)), Timestamp(begin.0 + day), Timestamp(end.0 - day)),
        ];
        for (name, key, first, last) in rows {
            let key = key.unwrap();
            assert!(key.counts_at(first) && key.counts_at(last), "{name}");
            assert!(!key.counts_at(Timestamp(first.0 - 1)) && !key.counts_at(Timestamp(last.0 + 1)), "{name}");
        }
        assert_eq!(of(Some(end.0 + 1), None), Err(StaticKeyFault::NeverCounts));
        let open = read(&pair.public_key_pem()).unwrap();
        assert!(open.counts_at(Timestamp(i64::MIN)) && open.counts_at(Timestamp(i64::MAX)) && open.changes().next().is_none());
    }

    #[test]
    fn what_is_no_single_public_key_is_refused() {
        let pair = KeyPair::generate().unwrap();
        let (public, own) = (pair.public_key_pem(), certificate(&pair));
        let cut = public.replacen("MFkw", "MFkx", 1);
        assert!(read(&public).is_ok());
        for (name, pem, fault) in [
            ("nothing", String::new(), StaticKeyFault::NotPem),
            ("text", "ssh-ed25519 AAAA".into(), StaticKeyFault::NotPem),
            ("another block", public.replace("PUBLIC KEY", "CERTIFICATE REQUEST"), StaticKeyFault::NotPem),
            ("a private key", pair.serialize_pem(), StaticKeyFault::Private),
            ("a private key behind it", format!("{own}{}", pair.serialize_pem()), StaticKeyFault::Private),
            ("two", format!("{own}{public}"), StaticKeyFault::Several),
            ("damaged", cut, StaticKeyFault::Damaged),
            ("under the other's name", public.replace("PUBLIC KEY", "CERTIFICATE"), StaticKeyFault::Damaged),
        ] {
            assert_eq!(read(&pem).unwrap_err(), fault, "{name}");
        }
    }
}
