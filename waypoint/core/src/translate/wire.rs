//! Reading messages: unpacking `Any`, finding what nobody took, cutting a message along one field.

use super::pb::TypedStruct;
use super::pb::protobuf::Any;
use super::problem::{Problem, Result, Warnings};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{Message, Name};
use std::borrow::Cow;
use xds_client::typed_struct;

/// The type a packed message has, without the host part of its URL.
pub(super) fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// Reads a packed message of exactly this type.
pub(super) fn unpack<M: Message + Name + Default>(any: &Any, warnings: &mut Warnings) -> Result<M> {
    if type_name(any) != M::full_name() {
        return Err(Problem::unsupported("unsupported_type", type_name(any)));
    }
    decode(&any.value, warnings)
}

/// A configuration written as a struct as the message it stands for, where that is known; all else as it is.
pub(super) fn unwrapped(any: &Any) -> Result<Cow<'_, Any>> {
    if !matches!(type_name(any), "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct") {
        return Ok(Cow::Borrowed(any));
    }
    let TypedStruct { type_url, value } = TypedStruct::decode(&*any.value).map_err(Problem::invalid)?;
    // Istio's own have no protos here; looking for them would load all of Envoy's for nothing.
    if !type_url.contains("/envoy.extensions.filters.http.") {
        return Ok(Cow::Borrowed(any));
    }
    let message = typed_struct::message(&type_url, value.unwrap_or_default());
    let message = message.map_err(|error| {
        // A field of a newer version is as good as a message of one: what it would do is not known.
        let name = type_url.rsplit('.').next().unwrap_or_default();
        Problem::unsupported("unsupported_type", format!("{name}:{error}"))
    })?;
    Ok(message.map_or(Cow::Borrowed(any), |value| Cow::Owned(Any { type_url, value })))
}

/// Reads a message, and says so when it holds fields this build has never heard of.
///
/// prost drops unknown fields, so the decoded message is shorter than its bytes.
pub(super) fn decode<M: Message + Name + Default>(bytes: &[u8], warnings: &mut Warnings) -> Result<M> {
    let message = M::decode(bytes).map_err(|error| Problem::invalid(format_args!("{}: {error}", M::NAME)))?;
    if message.encoded_len() < bytes.len() {
        warnings.push(format!("{} has fields this version does not know", M::NAME));
    }
    Ok(message)
}

/// Refuses a message in which something is still set after every known field was taken out.
pub(super) fn nothing_left<M: Message + Name + Default + PartialEq>(rest: &M) -> Result<()> {
    if *rest == M::default() {
        return Ok(());
    }
    let bytes = rest.encode_to_vec();
    let field = decode_key(&mut bytes.as_slice()).map_or(0, |(tag, _)| tag);
    Err(Problem::unsupported("unsupported_field", format!("{}#{field}", M::NAME)))
}

/// A value of an open enum; one we have never heard of cannot be honoured.
pub(super) fn enum_value<E: TryFrom<i32>>(value: i32, what: &str) -> Result<E> {
    E::try_from(value).map_err(|_| Problem::unsupported("unsupported_value", format!("{what}={value}")))
}

/// A message cut along one of its length-delimited fields.
pub(super) struct Cut<'a> {
    /// The field's payloads in order.
    pub(super) parts: Vec<&'a [u8]>,
    /// Everything else, still a valid message of the same type.
    pub(super) rest: Vec<u8>,
}

/// Takes the payloads of field `tag` out unread: unchanged ones need not be decoded again.
pub(super) fn cut(bytes: &[u8], tag: u32) -> Result<Cut<'_>> {
    let mut cut = Cut { parts: Vec::new(), rest: Vec::new() };
    let mut left = bytes;
    while !left.is_empty() {
        let before = left;
        let (field, wire_type) = decode_key(&mut left).map_err(Problem::invalid)?;
        if field == tag && wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut left).map_err(Problem::invalid)?;
            let length = usize::try_from(length).ok().filter(|length| *length <= left.len());
            let length = length.ok_or_else(|| Problem::invalid("truncated message"))?;
            let (part, after) = left.split_at(length);
            cut.parts.push(part);
            left = after;
        } else {
            skip_field(wire_type, field, &mut left, DecodeContext::default()).map_err(Problem::invalid)?;
            cut.rest.extend_from_slice(&before[..before.len() - left.len()]);
        }
    }
    Ok(cut)
}

/// Content hashes: equal bytes, equal meaning.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh64::xxh64(bytes, 0)
}
