//! One sealed value as text: `sealed:GENERATION:` and, in base64url, the salt, the ciphertext and its tag.

use crate::domain::names::TenantId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

const PREFIX: &str = "sealed:";
const SALT_BYTES: usize = 32;

/// Where a value stands: what was sealed for one place opens in no other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    column: &'static str,
    row: [&'a str; 3],
    generation: i64,
}

impl<'a> Place<'a> {
    /// A column of the session that a subject holds on a machine.
    pub(crate) fn session(
        column: &'static str,
        tenant: &'a TenantId,
        subject: &'a str,
        hardware: &'a str,
    ) -> Self {
        Self { column, row: [tenant.as_str(), subject, hardware], generation: 0 }
    }

    /// The kept answer to a request with a key.
    pub(crate) fn answer(tenant: &'a TenantId, subject: &'a str, key: &'a str) -> Self {
        Self { column: "idempotency.body", row: [tenant.as_str(), subject, key], generation: 0 }
    }

    /// A data key itself.
    pub(super) const fn data_key(generation: i64) -> Place<'static> {
        Place { column: "data_key.sealed", row: ["", "", ""], generation }
    }

    /// Returns the column, which a log may name; the row is a person's.
    pub(crate) const fn column(&self) -> &'static str {
        self.column
    }

    fn text(&self) -> Vec<u8> {
        let [one, two, three] = self.row;
        let place = ["license-core value 1", self.column, one, two, three];
        serde_json::json!([place, self.generation]).to_string().into_bytes()
    }
}

/// Returns the generation of a sealed value; `None` for a value that stands in the clear.
pub(crate) fn generation_of(text: &str) -> Option<i64> {
    text.strip_prefix(PREFIX)?.split_once(':')?.0.parse().ok()
}

/// A key that keys of values are derived from.
pub(super) struct ValueKey(Zeroizing<Vec<u8>>);

impl ValueKey {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Seals a value for a place.
    pub(super) fn seal(
        &self,
        generation: i64,
        place: Place<'_>,
        clear: &[u8],
    ) -> Result<String, Unspecified> {
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt)?;
        let place = place.text();
        let mut text = clear.to_vec();
        self.derived(&salt, &place)?.seal_in_place_append_tag(
            once(),
            Aad::from(&place),
            &mut text,
        )?;
        let text = URL_SAFE_NO_PAD.encode([salt.as_slice(), &text].concat());
        Ok(format!("{PREFIX}{generation}:{text}"))
    }

    /// Opens what was sealed for a place.
    pub(super) fn open(
        &self,
        place: Place<'_>,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let text = sealed.strip_prefix(PREFIX).and_then(|text| text.split_once(':'));
        let text = URL_SAFE_NO_PAD.decode(text.ok_or(Unspecified)?.1).map_err(|_| Unspecified)?;
        let (salt, text) = text.split_at_checked(SALT_BYTES).ok_or(Unspecified)?;
        let place = place.text();
        let mut text = Zeroizing::new(text.to_vec());
        let key = self.derived(salt, &place)?;
        let length = key.open_in_place(once(), Aad::from(&place), &mut text)?.len();
        text.truncate(length);
        Ok(text)
    }

    fn derived(&self, salt: &[u8], place: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let info = [place];
        let key = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        Ok(LessSafeKey::new(UnboundKey::from(key.expand(&info, &AES_256_GCM)?)))
    }
}

/// The nonce of a key that seals one value in its life.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::{Place, ValueKey, generation_of};

    #[test]
    fn a_value_opens_in_its_place_under_its_key_and_nowhere_else() {
        let (tenant, other) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let (key, other_key) = (ValueKey::new(&[1; 32]), ValueKey::new(&[2; 32]));
        let place = Place::session("session.user_email", &tenant, "anna", "hw");
        let sealed = key.seal(3, place, b"anna@example.com").unwrap();
        assert_eq!(generation_of(&sealed), Some(3));
        assert!(!sealed.contains("anna"));
        assert_ne!(sealed, key.seal(3, place, b"anna@example.com").unwrap());
        assert_eq!(key.open(place, &sealed).unwrap().as_slice(), b"anna@example.com");
        for wrong in [
            Place::session("session.metadata", &tenant, "anna", "hw"),
            Place::session("session.user_email", &other, "anna", "hw"),
            Place::session("session.user_email", &tenant, "ann", "ahw"),
            Place::answer(&tenant, "anna", "hw"),
        ] {
            assert!(key.open(wrong, &sealed).is_err(), "{wrong:?}");
        }
        assert!(other_key.open(place, &sealed).is_err());
        // No prefix of it opens, and nothing panics.
        for end in 0..sealed.len() {
            assert!(key.open(place, sealed.get(..end).unwrap()).is_err());
        }
        for clear in ["", "anna@example.com", "sealed:", "sealed:x:AAAA"] {
            assert_eq!(generation_of(clear), None, "{clear}");
        }
    }
}
