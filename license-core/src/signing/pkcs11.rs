//! Keys in a hardware module, by PKCS#11: made there, never seen here. The store holds their `CKA_ID`.
//!
//! A key under the settings' label that no generation has used yet is taken over before one is made, so that a token
//! whose login may not make keys works with keys that its administrators made.

mod token;

use super::algorithm::{Algorithm, EXPONENT, Use};
use super::local::blocking;
use super::pair::P256_POINT_BYTES;
use super::port::{KeyPort, Made, PortError, PrivateKey};
use crate::settings::Pkcs11;
use crate::store::SealedKey;
use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::sync::Arc;
use token::{Token, failed};

/// What the store's name of such a key begins with; the `CKA_ID` follows.
pub(super) const SCHEME: &str = "pkcs11:";

const ID_BYTES: usize = 16;
/// Longer ids are other people's keys.
const ID_BYTES_MAX: usize = 64;
const MODULUS_BYTES: usize = 512;
const POINT_BYTES: usize = 32;
/// The two ways to name Ed25519: PKCS#11 3.0's own, and the object identifier that other modules ask for.
const CURVES: [&[u8]; 2] = [b"\x13\x0cedwards25519", b"\x06\x03\x2b\x65\x70"];
/// The object identifier of P-256 (`prime256v1`).
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// The keys in a token.
pub(super) struct Module {
    token: Arc<Token>,
}

impl Module {
    /// Loads the module. The token is looked for when it is first needed.
    pub(super) fn open(settings: &Pkcs11) -> Result<Self, PortError> {
        Ok(Self { token: Arc::new(Token::load(settings)?) })
    }
}

fn id_of(key: &SealedKey) -> Option<&[u8]> {
    key.sealed.strip_prefix(SCHEME.as_bytes())
}

#[async_trait]
impl KeyPort for Module {
    fn holds(&self, key: &SealedKey) -> bool {
        id_of(key).is_some()
    }

    async fn make(
        &self,
        _usage: Use,
        algorithm: Algorithm,
        known: &[SealedKey],
    ) -> Result<Made, PortError> {
        let known: Vec<Vec<u8>> = known.iter().filter_map(id_of).map(<[u8]>::to_vec).collect();
        let token = self.token.clone();
        blocking(move || {
            token.with_session(|seat| {
                let found = unused(&seat.session, token.label(), algorithm, &known)?;
                match found {
                    Some(made) => Ok(made),
                    None => generate(&seat.session, token.label(), algorithm),
                }
            })
        })
        .await?
    }

    async fn open(&self, key: &SealedKey) -> Result<Box<dyn PrivateKey>, PortError> {
        let id = id_of(key).unwrap_or_default().to_vec();
        let (token, algorithm, public) = (self.token.clone(), key.algorithm, key.public.clone());
        let opened = TokenKey { token: self.token.clone(), id: id.clone(), algorithm };
        blocking(move || {
            token.with_session(|seat| {
                let there = public_of(&seat.session, &id, algorithm)?;
                if there == Some(public) {
                    return Ok(());
                }
                let text = "the token has no such key, or another one by its id";
                Err(PortError::Refused(text.to_owned()))
            })
        })
        .await??;
        Ok(Box::new(opened))
    }
}

struct TokenKey {
    token: Arc<Token>,
    id: Vec<u8>,
    algorithm: Algorithm,
}

#[async_trait]
impl PrivateKey for TokenKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PortError> {
        let (token, id, message) = (self.token.clone(), self.id.clone(), message.to_vec());
        let algorithm = self.algorithm;
        blocking(move || {
            let mechanism = match algorithm {
                Algorithm::EdDsa => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
                // Over a digest, as not every module hashes; it answers r and s, 32 bytes each.
                Algorithm::Es256 => Mechanism::Ecdsa,
                Algorithm::Rs512 => Mechanism::Sha512RsaPkcs,
            };
            let message = match algorithm {
                Algorithm::EdDsa | Algorithm::Rs512 => message,
                Algorithm::Es256 => digest(&SHA256, &message).as_ref().to_vec(),
            };
            token.with_session(|seat| {
                let key = seat.private(&id)?;
                seat.session.sign(&mechanism, key, &message).map_err(failed)
            })
        })
        .await?
    }
}

const fn key_type(algorithm: Algorithm) -> KeyType {
    match algorithm {
        Algorithm::EdDsa => KeyType::EC_EDWARDS,
        Algorithm::Es256 => KeyType::EC,
        Algorithm::Rs512 => KeyType::RSA,
    }
}

/// Finds a key under the label that no generation has used.
fn unused(
    session: &Session,
    label: &str,
    algorithm: Algorithm,
    known: &[Vec<u8>],
) -> Result<Option<Made>, PortError> {
    let wanted = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(key_type(algorithm)),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    for key in session.find_objects(&wanted).map_err(failed)? {
        let Some(id) = id_attribute(session, key)? else { continue };
        if (1..=ID_BYTES_MAX).contains(&id.len())
            && !known.contains(&id)
            && let Some(public) = public_of(session, &id, algorithm)?
        {
            return Ok(Some(Made { public, sealed: name(&id) }));
        }
    }
    Ok(None)
}

fn id_attribute(session: &Session, key: ObjectHandle) -> Result<Option<Vec<u8>>, PortError> {
    let found = session.get_attributes(key, &[AttributeType::Id]).map_err(failed)?;
    Ok(found.into_iter().find_map(
        |attribute| {
            if let Attribute::Id(id) = attribute { Some(id) } else { None }
        },
    ))
}

fn name(id: &[u8]) -> Vec<u8> {
    [SCHEME.as_bytes(), id].concat()
}

/// Makes a key that does not leave the token.
fn generate(session: &Session, label: &str, algorithm: Algorithm) -> Result<Made, PortError> {
    let mut id = vec![0; ID_BYTES];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| PortError::Refused("the system gives no randomness".to_owned()))?;
    let common = || {
        [
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(id.clone()),
        ]
    };
    let private = || {
        let secret = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        [common().as_slice(), secret.as_slice()].concat()
    };
    let public =
        |more: &[Attribute]| [common().as_slice(), &[Attribute::Verify(true)], more].concat();
    let made = match algorithm {
        Algorithm::EdDsa => {
            let [first, second] = CURVES.map(|curve| {
                let public = public(&[Attribute::EcParams(curve.to_vec())]);
                let private = private();
                move || {
                    let mechanism = Mechanism::EccEdwardsKeyPairGen;
                    session.generate_key_pair(&mechanism, &public, &private)
                }
            });
            first().or_else(|_| second())
        }
        Algorithm::Es256 => {
            let public = public(&[Attribute::EcParams(P256.to_vec())]);
            session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private())
        }
        Algorithm::Rs512 => {
            let public = public(&[
                Attribute::ModulusBits(4096.into()),
                Attribute::PublicExponent(EXPONENT.to_vec()),
            ]);
            session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private())
        }
    };
    made.map_err(failed)?;
    let public = public_of(session, &id, algorithm)?;
    let public = public.ok_or_else(|| {
        PortError::Refused("the token made a key and does not show its public half".to_owned())
    })?;
    Ok(Made { public, sealed: name(&id) })
}

/// Reads the public half of the key of this id: the point, or the modulus.
fn public_of(
    session: &Session,
    id: &[u8],
    algorithm: Algorithm,
) -> Result<Option<Vec<u8>>, PortError> {
    let wanted = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(key_type(algorithm)),
        Attribute::Id(id.to_vec()),
    ];
    let found = session.find_objects(&wanted).map_err(failed)?;
    let Some(key) = found.first() else { return Ok(None) };
    let asked = match algorithm {
        Algorithm::EdDsa | Algorithm::Es256 => vec![AttributeType::EcPoint],
        Algorithm::Rs512 => vec![AttributeType::Modulus, AttributeType::PublicExponent],
    };
    let found = session.get_attributes(*key, &asked).map_err(failed)?;
    Ok(public_key(algorithm, &found))
}

/// Takes a point of the algorithm's curve with or without its DER header, and a modulus of 4096 bits whose exponent is
/// 65537. A point of P-256 is not compressed; one of another curve has another length.
fn public_key(algorithm: Algorithm, found: &[Attribute]) -> Option<Vec<u8>> {
    let (mut public, mut exponent_fits) = (None, true);
    for attribute in found {
        if let Attribute::EcPoint(point) = attribute {
            public = match algorithm {
                Algorithm::EdDsa => {
                    let point = point.strip_prefix(&[4, 32]).unwrap_or(point);
                    (point.len() == POINT_BYTES).then(|| point.to_vec())
                }
                Algorithm::Es256 => {
                    let point = point.strip_prefix(&[4, 65]).unwrap_or(point);
                    (point.len() == P256_POINT_BYTES && point.first() == Some(&4))
                        .then(|| point.to_vec())
                }
                Algorithm::Rs512 => None,
            };
        } else if let Attribute::Modulus(modulus) = attribute {
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            public = (modulus.len() == MODULUS_BYTES).then(|| modulus.to_vec());
        } else if let Attribute::PublicExponent(exponent) = attribute {
            let start = exponent.iter().position(|byte| *byte != 0).unwrap_or(0);
            exponent_fits = exponent.get(start..) == Some(EXPONENT.as_slice());
        }
    }
    public.filter(|_| exponent_fits)
}

#[cfg(test)]
mod tests {
    use super::public_key;
    use crate::signing::algorithm::Algorithm::{EdDsa, Es256, Rs512};
    use cryptoki::object::Attribute;

    #[test]
    fn points_and_moduli_are_taken_in_their_forms_and_no_others() {
        let point = vec![7; 32];
        let with_header = [&[4, 32], point.as_slice()].concat();
        for form in [point.clone(), with_header] {
            assert_eq!(public_key(EdDsa, &[Attribute::EcPoint(form)]), Some(point.clone()));
        }
        assert_eq!(public_key(EdDsa, &[Attribute::EcPoint(vec![7; 33])]), None);
        let p256 = [&[4], [7; 64].as_slice()].concat();
        for form in [p256.clone(), [&[4, 65], p256.as_slice()].concat()] {
            assert_eq!(public_key(Es256, &[Attribute::EcPoint(form.clone())]), Some(p256.clone()));
            assert_eq!(public_key(EdDsa, &[Attribute::EcPoint(form)]), None);
        }
        // A compressed point, and one of P-384.
        for other in [[&[2], [7; 32].as_slice()].concat(), [&[4], [7; 96].as_slice()].concat()] {
            assert_eq!(public_key(Es256, &[Attribute::EcPoint(other)]), None);
        }
        let modulus = vec![9; 512];
        let rsa = |modulus: Vec<u8>, exponent: &[u8]| {
            public_key(
                Rs512,
                &[Attribute::Modulus(modulus), Attribute::PublicExponent(exponent.to_vec())],
            )
        };
        assert_eq!(rsa(modulus.clone(), &[1, 0, 1]), Some(modulus.clone()));
        assert_eq!(rsa(modulus.clone(), &[0, 1, 0, 1]), Some(modulus.clone()));
        assert_eq!(rsa(modulus, &[3]), None);
        assert_eq!(rsa(vec![9; 256], &[1, 0, 1]), None);
        assert_eq!(public_key(Rs512, &[]), None);
    }
}
