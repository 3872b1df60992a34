use nix::errno::Errno;

use super::{answers, refused};
use crate::node::nft::batch::Batch;

/// An acknowledgement as the kernel sends it: header, error number, header of the message it is about.
fn ack(sequence: u32, code: i32) -> Vec<u8> {
    let header =
        [&36u32.to_ne_bytes()[..], &2u16.to_ne_bytes(), &[0; 2], &sequence.to_ne_bytes(), &[0; 4]].concat();
    [header, code.to_ne_bytes().to_vec(), vec![0; 16]].concat()
}

#[test]
fn reads_all_answers_and_stops_at_what_is_cut_off() {
    let check = |bytes: &[u8], expect: &[(usize, i32)]| {
        let found: Vec<_> = answers(bytes).iter().map(|a| (a.sequence, a.code)).collect();
        assert_eq!(found, expect);
    };
    check(&[], &[]);
    check(&ack(1, 0), &[(1, 0)]);
    check(&[ack(1, 0), ack(2, -2)].concat(), &[(1, 0), (2, -2)]);
    check(&ack(1, 0)[..12], &[]);
    check(&[0; 64], &[]);
}

#[test]
fn a_refusal_names_the_message() {
    let batch =
        Batch { bytes: Vec::new(), said: vec!["use nf_tables".into(), "add rule ip t c accept".into()] };
    let check = |sequence, errno: Errno, words: &[&str]| {
        let said = refused(&batch, &answers(&ack(sequence, -(errno as i32)))[0]).to_string();
        assert!(words.iter().all(|w| said.contains(w)), "{said}");
    };
    check(1, Errno::ENOENT, &["`add rule ip t c accept`", "kernel module"]);
    check(0, Errno::EOPNOTSUPP, &["`use nf_tables`", "modprobe nf_tables"]);
    check(1, Errno::EPERM, &["CAP_NET_ADMIN"]);
    check(9, Errno::EINVAL, &["message 9"]);
}
