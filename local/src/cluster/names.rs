//! Names and identifiers as the controllers of Kubernetes make them, and the time and chance they take.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use xxhash_rust::xxh64::xxh64;

/// The moment of a change and a fresh random number, brought in from outside.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub time: DateTime<Utc>,
    pub chance: u64,
}

impl Now {
    /// As in `metadata.creationTimestamp`.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        self.time.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// A further random number; the next `Now` of the same moment.
    pub fn number(&mut self) -> u64 {
        self.chance = xxh64(&self.chance.to_le_bytes(), 0x6661_6972_7761_7973);
        self.chance
    }

    /// A random uid, as RFC 9562 version 4 writes it.
    pub fn uid(&mut self) -> String {
        let (high, low) = (self.number(), self.number());
        uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
            .into_uuid()
            .to_string()
    }
}

/// Without vowels and look-alikes, so that no words come out. Kubernetes: `k8s.io/apimachinery/pkg/util/rand`.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A suffix such as `x2f4k`.
#[must_use]
pub fn suffix(mut number: u64, length: usize) -> String {
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        text.push(char::from(ALPHABET[(number % 27) as usize]));
        number /= 27;
    }
    text
}

/// The `pod-template-hash` of a template. Key order counts, as it comes from one manifest.
#[must_use]
pub fn template_hash(template: &Value) -> String {
    suffix(xxh64(template.to_string().as_bytes(), 0), 9)
}
