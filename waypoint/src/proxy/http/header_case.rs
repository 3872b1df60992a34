//! How a message spelt its header names, for chains that keep that between HTTP/1 neighbours.
//!
//! Names mean the same in any case, and every map of headers here lowers them; this is for programs that do not know.
//! Envoy: `header_key_format: preserve_case`. Names a proxy adds stay in lower case there and here.

/// The names that are not in lower case, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderCase(Vec<Box<str>>);

impl HeaderCase {
    /// Of the bytes of a head; what cannot be read as a name is left out.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let names = lines(head).filter_map(|line| std::str::from_utf8(&head[line]).ok());
        Self(names.filter(|name| name.bytes().any(|b| b.is_ascii_uppercase())).map(Into::into).collect())
    }

    /// A name as the message spelt it.
    #[must_use]
    pub fn spell<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.iter().find(|known| known.eq_ignore_ascii_case(name)).map_or(name, |known| known)
    }

    /// Respells the names in the bytes of a head; no length changes.
    pub fn restore(&self, head: &mut [u8]) {
        let names: Vec<_> = lines(head).collect();
        for name in names {
            let bytes = &mut head[name];
            if let Some(known) = self.0.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(bytes)) {
                bytes.copy_from_slice(known.as_bytes());
            }
        }
    }
}

/// Where the names of a head stand: from the start of each line but the first to its colon.
fn lines(head: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    let mut first = true;
    head.split_inclusive(|b| *b == b'\n').filter_map(move |line| {
        let start = at;
        at += line.len();
        let blank = line.iter().all(|b| matches!(b, b'\r' | b'\n'));
        if blank || std::mem::take(&mut first) {
            return None;
        }
        let colon = line.iter().position(|b| *b == b':')?;
        Some(start..start + colon)
    })
}

#[cfg(test)]
mod tests;
