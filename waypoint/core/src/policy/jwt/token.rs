//! Reading one token. Knows nothing of keys and configuration: what comes out is *not* verified.
//!
//! Strict where two readers could disagree: exactly three sections, no name twice. Stricter than Envoy: no trailing bits in
//! base64url, `exp: 0` is a time, and a `crit` header is refused as RFC 7515 §4.1.11 asks.
//! Spec: RFC 7515 compact serialisation, RFC 7519; Envoy: `source/common/jwt/jwt.cc`.

use super::json;
use super::status::JwtStatus;
use crate::limits::JWT_BYTES_MAX;
use crate::model::jwks::JwtAlgorithm;
use crate::model::metadata::{Fields, MetadataValue};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// base64url with or without padding, as tokens and keys use it.
pub(super) const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A token that can be read; nothing in it is to be believed yet.
#[derive(Clone, Debug)]
pub struct Token {
    pub algorithm: JwtAlgorithm,
    /// Never empty.
    pub key_id: Option<Box<str>>,
    pub header: Fields,
    pub claims: Fields,
    /// Seconds since the epoch.
    pub not_before: Option<u64>,
    pub expires: Option<u64>,
    pub audiences: Vec<Box<str>>,
    pub signature: Vec<u8>,
    text: Box<str>,
    /// Where the first and the second dot are.
    dots: (usize, usize),
}

impl Token {
    /// What the signature is of.
    #[must_use]
    pub fn signed(&self) -> &[u8] {
        &self.text.as_bytes()[..self.dots.1]
    }

    /// The payload as it came.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.text[self.dots.0 + 1..self.dots.1]
    }

    /// Empty when there is none, as Envoy has it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text_claim("iss")
    }

    #[must_use]
    pub fn subject(&self) -> &str {
        self.text_claim("sub")
    }

    fn text_claim(&self, name: &str) -> &str {
        match self.claims.get(name) {
            Some(MetadataValue::String(text)) => text,
            _ => "",
        }
    }
}

/// Reads a token in compact serialisation.
///
/// # Errors
/// With the first thing that is wrong with it, in Envoy's order.
pub fn parse(text: &str) -> Result<Token, JwtStatus> {
    let dots = dots(text).ok_or(JwtStatus::BadFormat)?;
    let header = decode(&text[..dots.0]).ok_or(JwtStatus::HeaderBadBase64)?;
    let header = json::object(&header).ok_or(JwtStatus::HeaderBadJson)?;
    let Some(MetadataValue::String(algorithm)) = header.get("alg") else {
        return Err(JwtStatus::HeaderBadAlgorithm);
    };
    let algorithm = JwtAlgorithm::from_name(algorithm).ok_or(JwtStatus::HeaderUnsupportedAlgorithm)?;
    let key_id = optional_text(&header, "kid").ok_or(JwtStatus::HeaderBadKeyId)?;
    if header.contains_key("crit") {
        return Err(JwtStatus::HeaderCritical);
    }
    let claims = decode(&text[dots.0 + 1..dots.1]).ok_or(JwtStatus::PayloadBadBase64)?;
    let claims = json::object(&claims).ok_or(JwtStatus::PayloadBadJson)?;
    optional_text(&claims, "iss").ok_or(JwtStatus::IssuerNotString)?;
    optional_text(&claims, "sub").ok_or(JwtStatus::SubjectNotString)?;
    time(&claims, "iat", JwtStatus::IssuedAtNotInteger, JwtStatus::IssuedAtOutOfRange)?;
    let not_before = time(&claims, "nbf", JwtStatus::NotBeforeNotInteger, JwtStatus::NotBeforeOutOfRange)?;
    let expires = time(&claims, "exp", JwtStatus::ExpirationNotInteger, JwtStatus::ExpirationOutOfRange)?;
    optional_text(&claims, "jti").ok_or(JwtStatus::IdNotString)?;
    let audiences = audiences(&claims).ok_or(JwtStatus::AudienceNotString)?;
    let signature = decode(&text[dots.1 + 1..]).ok_or(JwtStatus::SignatureBadBase64)?;
    let key_id = key_id.filter(|id| !id.is_empty()).map(Into::into);
    Ok(Token {
        algorithm,
        key_id,
        not_before,
        expires,
        audiences,
        signature,
        text: text.into(),
        dots,
        header,
        claims,
    })
}

/// The places of exactly two dots between three sections that are not empty.
fn dots(text: &str) -> Option<(usize, usize)> {
    if text.len() > JWT_BYTES_MAX {
        return None;
    }
    let mut dots = text.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
    let (first, second) = (dots.next()?, dots.next()?);
    let sections = first > 0 && second > first + 1 && second + 1 < text.len();
    (sections && dots.next().is_none()).then_some((first, second))
}

fn decode(section: &str) -> Option<Vec<u8>> {
    BASE64_URL.decode(section).ok()
}

/// `None`: it is there, but no string.
fn optional_text<'a>(fields: &'a Fields, name: &str) -> Option<Option<&'a str>> {
    match fields.get(name) {
        None => Some(None),
        Some(MetadataValue::String(text)) => Some(Some(text)),
        Some(_) => None,
    }
}

fn time(
    claims: &Fields,
    name: &str,
    not_integer: JwtStatus,
    out_of_range: JwtStatus,
) -> Result<Option<u64>, JwtStatus> {
    match claims.get(name) {
        None => Ok(None),
        // Fractions are cut off, as Envoy does: RFC 7519 allows them.
        Some(MetadataValue::Number(seconds)) if (0.0..u64::MAX as f64).contains(seconds) => {
            Ok(Some(*seconds as u64))
        }
        Some(MetadataValue::Number(_)) => Err(out_of_range),
        Some(_) => Err(not_integer),
    }
}

fn audiences(claims: &Fields) -> Option<Vec<Box<str>>> {
    let text = |value: &MetadataValue| match value {
        MetadataValue::String(text) => Some(Box::from(&**text)),
        _ => None,
    };
    match claims.get("aud") {
        None => Some(Vec::new()),
        Some(MetadataValue::List(items)) => items.iter().map(text).collect(),
        Some(one) => text(one).map(|one| vec![one]),
    }
}

#[cfg(test)]
mod tests;
