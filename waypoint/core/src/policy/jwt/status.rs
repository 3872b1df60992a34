//! Why a token is not accepted, in Envoy's words: clients and runbooks match on them.
//! Envoy: `source/common/jwt/status.cc`.

use crate::failure::Failure;
use http::StatusCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtStatus {
    Missing,
    NotYetValid,
    Expired,
    BadFormat,
    HeaderBadBase64,
    HeaderBadJson,
    HeaderBadAlgorithm,
    HeaderUnsupportedAlgorithm,
    HeaderBadKeyId,
    HeaderCritical,
    PayloadBadBase64,
    PayloadBadJson,
    IssuerNotString,
    SubjectNotString,
    IssuedAtNotInteger,
    IssuedAtOutOfRange,
    NotBeforeNotInteger,
    NotBeforeOutOfRange,
    ExpirationNotInteger,
    ExpirationOutOfRange,
    IdNotString,
    AudienceNotString,
    SignatureBadBase64,
    UnknownIssuer,
    AudienceNotAllowed,
    VerificationFails,
    NoMatchingKey,
    NoValidKeys,
    FetchFailed,
}

impl JwtStatus {
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Missing => "Jwt is missing",
            Self::NotYetValid => "Jwt not yet valid",
            Self::Expired => "Jwt is expired",
            Self::BadFormat => {
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
            }
            Self::HeaderBadBase64 => "Jwt header is an invalid Base64url encoded",
            Self::HeaderBadJson => "Jwt header is an invalid JSON",
            Self::HeaderBadAlgorithm => "Jwt header [alg] field is required and must be a string",
            Self::HeaderUnsupportedAlgorithm => "Jwt header [alg] is not supported",
            Self::HeaderBadKeyId => "Jwt header [kid] field is not a string",
            // Ours: Envoy does not look at `crit`.
            Self::HeaderCritical => "Jwt header [crit] field is not supported",
            Self::PayloadBadBase64 => "Jwt payload is an invalid Base64url encoded",
            Self::PayloadBadJson => "Jwt payload is an invalid JSON",
            Self::IssuerNotString => "Jwt payload [iss] field is not a string",
            Self::SubjectNotString => "Jwt payload [sub] field is not a string",
            Self::IssuedAtNotInteger => "Jwt payload [iat] field is not an integer",
            Self::IssuedAtOutOfRange => "Jwt payload [iat] field is not a positive 64 bit integer",
            Self::NotBeforeNotInteger => "Jwt payload [nbf] field is not an integer",
            Self::NotBeforeOutOfRange => "Jwt payload [nbf] field is not a positive 64 bit integer",
            Self::ExpirationNotInteger => "Jwt payload [exp] field is not an integer",
            Self::ExpirationOutOfRange => "Jwt payload [exp] field is not a positive 64 bit integer",
            Self::IdNotString => "Jwt payload [jti] field is not a string",
            Self::AudienceNotString => "Jwt payload [aud] field is not a string or string list",
            Self::SignatureBadBase64 => "Jwt signature is an invalid Base64url encoded",
            Self::UnknownIssuer => "Jwt issuer is not configured",
            Self::AudienceNotAllowed => "Audiences in Jwt are not allowed",
            Self::VerificationFails => "Jwt verification fails",
            Self::NoMatchingKey => "Jwks doesn't have key to match kid or alg from Jwt",
            Self::NoValidKeys => "Jwks doesn't have any valid public key",
            Self::FetchFailed => "Jwks remote fetch is failed",
        }
    }

    #[must_use]
    pub fn failure(self) -> Failure {
        let status = match self {
            Self::AudienceNotAllowed => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        Failure::jwt_denied(status, self.message())
    }

    /// `Missing` and `UnknownIssuer` say that a token is not this provider's business, not that it is bad.
    #[must_use]
    pub(super) const fn is_of_a_bad_token(self) -> bool {
        !matches!(self, Self::Missing | Self::UnknownIssuer)
    }
}
