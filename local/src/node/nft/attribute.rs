//! Netlink attributes: type, length, value, padded to four bytes. nf_tables' numbers are big-endian.
//! Spec: linux/netlink.h (struct nlattr).

/// Says that an attribute's value is attributes again.
const NESTED: u16 = 0x8000;
const HEADER_BYTES: usize = 4;

/// Grows a list of attributes.
#[derive(Debug, Default)]
pub struct Attributes {
    bytes: Vec<u8>,
}

impl Attributes {
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn put(&mut self, kind: u16, value: &[u8]) {
        let length =
            u16::try_from(HEADER_BYTES + value.len()).expect("a rule's attributes stay far below 64 KiB");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A name, NUL-terminated as the kernel's strings are.
    pub fn name(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes);
    }

    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.put(kind | NESTED, &inner.bytes);
    }
}
