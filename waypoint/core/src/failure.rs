//! Every refusal on the data path: what the client sees and what the access log says.
//!
//! Invariant: a request or connection that is not served ends as exactly one [`Failure`].
//! The short flags and the details strings are API: dashboards and runbooks match on Envoy's.
//! Envoy: `envoy/stream_info/stream_info.h` (response flags), `response_code_details`.

mod authz;
mod causes;
mod grpc;
mod reset;

pub use grpc::{GrpcStatus, is_grpc};
pub use reset::{ResetContext, ResetReason};

use http::StatusCode;
use std::borrow::Cow;
use std::fmt;

/// Envoy's response flags, by their short log strings. Only those a waypoint can produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ResponseFlag {
    /// No healthy upstream.
    UH,
    /// Upstream connection failure.
    UF,
    /// Upstream overflow (circuit breaking).
    UO,
    /// No route configured, or no filter chain for the destination.
    NR,
    /// Upstream retry limit exceeded.
    URX,
    /// No cluster found.
    NC,
    /// Request or connection exceeded its duration.
    DT,
    /// Downstream connection termination.
    DC,
    /// Upstream request timeout.
    UT,
    /// Local reset.
    LR,
    /// Upstream remote reset.
    UR,
    /// Upstream connection termination.
    UC,
    /// Delay injected.
    DI,
    /// Fault injected.
    FI,
    /// Rate limited locally.
    RL,
    /// External authorization denied.
    UAEX,
    /// The rate limit service gave no answer.
    RLSE,
    /// Stream idle timeout.
    SI,
    /// Invalid Envoy-specific request headers.
    IH,
    /// Downstream protocol error.
    DPE,
    /// Upstream protocol error.
    UPE,
    /// Upstream max stream duration reached.
    UMSDR,
    /// Overload manager terminated the request (Envoy: `OverloadManager`).
    OM,
    /// DNS resolution failed.
    DF,
    /// Downstream remote reset.
    DR,
}

impl ResponseFlag {
    /// The flag a configuration names by its short string.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.as_str() == name)
    }

    // Envoy: the order of ALL_RESPONSE_FLAGS; `URX` comes before `UF` there, as it does nowhere else.
    const ALL: [Self; 25] = [
        Self::UH,
        Self::URX,
        Self::UF,
        Self::UO,
        Self::NR,
        Self::NC,
        Self::DT,
        Self::DC,
        Self::UT,
        Self::LR,
        Self::UR,
        Self::UC,
        Self::DI,
        Self::FI,
        Self::RL,
        Self::UAEX,
        Self::RLSE,
        Self::SI,
        Self::IH,
        Self::DPE,
        Self::UPE,
        Self::UMSDR,
        Self::OM,
        Self::DF,
        Self::DR,
    ];

    const fn envoy_bit(self) -> u64 {
        1 << match self {
            Self::UH => 1,
            Self::UT => 2,
            Self::LR => 3,
            Self::UR => 4,
            Self::UF => 5,
            Self::UC => 6,
            Self::UO => 7,
            Self::NR => 8,
            Self::DI => 9,
            Self::FI => 10,
            Self::RL => 11,
            Self::UAEX => 12,
            Self::RLSE => 13,
            Self::DC => 14,
            Self::URX => 15,
            Self::SI => 16,
            Self::IH => 17,
            Self::DPE => 18,
            Self::UMSDR => 19,
            Self::DT => 22,
            Self::UPE => 23,
            Self::NC => 24,
            Self::OM => 25,
            Self::DF => 26,
            Self::DR => 28,
        }
    }

    /// The string `%RESPONSE_FLAGS%` prints.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UH => "UH",
            Self::UF => "UF",
            Self::UO => "UO",
            Self::NR => "NR",
            Self::URX => "URX",
            Self::NC => "NC",
            Self::DT => "DT",
            Self::DC => "DC",
            Self::UT => "UT",
            Self::LR => "LR",
            Self::UR => "UR",
            Self::UC => "UC",
            Self::DI => "DI",
            Self::FI => "FI",
            Self::RL => "RL",
            Self::UAEX => "UAEX",
            Self::RLSE => "RLSE",
            Self::SI => "SI",
            Self::IH => "IH",
            Self::DPE => "DPE",
            Self::UPE => "UPE",
            Self::UMSDR => "UMSDR",
            Self::OM => "OM",
            Self::DF => "DF",
            Self::DR => "DR",
        }
    }
}

/// A set of response flags; a request can carry several (`URX,UF`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u32);

impl ResponseFlags {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub const fn of(flag: ResponseFlag) -> Self {
        Self(1 << flag as u8)
    }

    #[must_use]
    pub const fn with(self, flag: ResponseFlag) -> Self {
        Self(self.0 | 1 << flag as u8)
    }

    /// Adds URX to the flag of a connection that could not be opened. Envoy prints flags in the order they were set: URX
    /// comes last here, and first where a request's retries are used up.
    #[must_use]
    pub const fn attempts_exhausted(self) -> Self {
        Self(self.with(ResponseFlag::URX).0 | Self::URX_IS_LAST)
    }

    /// No flag's bit.
    const URX_IS_LAST: u32 = 1 << 31;

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn contains(self, flag: ResponseFlag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// As Envoy's attribute `response.flags` numbers them: `StreamInfo::CoreResponseFlag`.
    #[must_use]
    pub fn envoy_bits(self) -> u64 {
        ResponseFlag::ALL.into_iter().filter(|flag| self.contains(*flag)).map(ResponseFlag::envoy_bit).sum()
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Prints `-` for none, else the flags joined by commas.
impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = (self.0 & Self::URX_IS_LAST != 0).then_some(ResponseFlag::URX);
        let flags = ResponseFlag::ALL.into_iter().filter(|flag| self.contains(*flag) && Some(*flag) != last);
        let mut first = true;
        for flag in flags.chain(last) {
            if !first {
                f.write_str(",")?;
            }
            first = false;
            f.write_str(flag.as_str())?;
        }
        if first { f.write_str("-") } else { Ok(()) }
    }
}

/// One refusal: the status and body the client gets, and what the log says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: StatusCode,
    pub flags: ResponseFlags,
    /// `%RESPONSE_CODE_DETAILS%`; no spaces, as Envoy replaces them by underscores.
    pub details: Cow<'static, str>,
    /// The plain-text body; empty means `content-length: 0` and no content type.
    pub body: Cow<'static, str>,
    /// What gRPC clients get when it is not what `status` maps to.
    pub grpc_status: Option<GrpcStatus>,
}

impl Failure {
    /// The `grpc-status` of the answer to a gRPC request.
    #[must_use]
    pub fn grpc_status(&self) -> GrpcStatus {
        self.grpc_status.unwrap_or_else(|| GrpcStatus::from_http(self.status))
    }

    /// The same failure with one more flag, e.g. URX or DI.
    #[must_use]
    pub fn with_flag(mut self, flag: ResponseFlag) -> Self {
        self.flags = self.flags.with(flag);
        self
    }
}

#[cfg(test)]
mod tests;
