//! Which top-level modules a file mentions: `crate::x`, `$crate::x`, and `super::` as far as it reaches the root.
//!
//! Works on tokens, so comments and strings do not count and macro bodies do. Items under `#[cfg(test)]` are skipped.

use crate::source::SourceFile;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
}

impl Edge {
    pub(crate) fn into_parts(self) -> (String, String, PathBuf, usize) {
        (self.from, self.to, self.path, self.line)
    }
}

pub(crate) fn of(file: &SourceFile) -> Vec<Edge> {
    // The crate root wires everything together.
    let Some(from) = file.module.first() else { return Vec::new() };
    let tokens: TokenStream =
        file.text.parse().unwrap_or_else(|error| panic!("{}: no Rust: {error}", file.path.display()));
    let mut mentions = Vec::new();
    walk(tokens, file.module.len(), &mut mentions);
    mentions
        .into_iter()
        .filter(|(to, _)| to != from)
        .map(|(to, line)| Edge { from: from.clone(), to, path: file.path.clone(), line })
        .collect()
}

type Mentions = Vec<(String, usize)>;

/// `depth`: how many modules deep this code is; `super` taken that often is the root.
fn walk(tokens: TokenStream, depth: usize, mentions: &mut Mentions) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            at += 2;
            at += item_length(&tokens[at..]);
            continue;
        }
        if let Some(root_at) = path_to_root(&tokens, at, depth) {
            first_names(&tokens[root_at..], mentions);
            at = root_at;
            continue;
        }
        if let TokenTree::Group(group) = &tokens[at] {
            let inline_module = at >= 2 && is_ident(&tokens[at - 2], "mod") && is_braces(group);
            walk(group.stream(), depth + usize::from(inline_module), mentions);
        }
        at += 1;
    }
}

/// The index behind `crate::` or behind a chain of `super::` that ends at the root.
fn path_to_root(tokens: &[TokenTree], at: usize, depth: usize) -> Option<usize> {
    // `a::crate::b` does not exist, but `x.super_` and a path's middle must not start one.
    if at > 0 && matches!(&tokens[at - 1], TokenTree::Punct(punct) if punct.as_char() == ':') {
        return None;
    }
    if is_ident(&tokens[at], "crate") {
        return colons(tokens, at + 1);
    }
    let mut at = if is_ident(&tokens[at], "self") { colons(tokens, at + 1)? } else { at };
    let mut ups = 0;
    while tokens.get(at).is_some_and(|token| is_ident(token, "super")) {
        ups += 1;
        at = colons(tokens, at + 1)?;
    }
    (ups > 0 && ups >= depth).then_some(at)
}

/// The names a path may continue with: one, or each of a `{…}`.
fn first_names(tokens: &[TokenTree], mentions: &mut Mentions) {
    match tokens.first() {
        Some(TokenTree::Ident(ident)) => mentions.push((ident.to_string(), ident.span().start().line)),
        Some(TokenTree::Group(group)) if is_braces(group) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let is_comma =
                |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
            for branch in inner.split(is_comma) {
                first_names(branch, mentions);
            }
        }
        _ => {}
    }
}

fn colons(tokens: &[TokenTree], at: usize) -> Option<usize> {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    (colon(at) && colon(at + 1)).then_some(at + 2)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_braces(group: &Group) -> bool {
    group.delimiter() == Delimiter::Brace
}

/// `#[cfg(test)]`, alone: `cfg(any(test, …))` is product code as well.
fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] => {
            hash.as_char() == '#' && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
        }
        _ => false,
    }
}

/// Up to the item's `;` or its braces.
fn item_length(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => is_braces(group),
        _ => false,
    });
    end.map_or(tokens.len(), |end| end + 1)
}
