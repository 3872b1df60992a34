//! Counting the messages of a gRPC body as its bytes pass, without keeping any.
//!
//! Invariant: how the bytes are cut into pieces changes nothing.
//! Spec: gRPC over HTTP/2, Length-Prefixed-Message. Envoy: `Grpc::FrameInspector`.

/// Flag and length before each message.
const PREFIX: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    count: u64,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix read so far.
    read: usize,
    /// Bytes of the message still to come.
    left: u64,
}

impl Messages {
    /// Messages begun so far: a stream that is cut off has sent its last one too.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether the next byte begins a message.
    #[must_use]
    pub const fn at_boundary(&self) -> bool {
        self.read == 0 && self.left == 0
    }

    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skip = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            let take = bytes.len().min(PREFIX - self.read);
            self.prefix[self.read..self.read + take].copy_from_slice(&bytes[..take]);
            self.read += take;
            bytes = &bytes[take..];
            if self.read == PREFIX {
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length).into();
                self.read = 0;
                self.count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
