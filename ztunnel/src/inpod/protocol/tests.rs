use crate::inpod::protocol::{HELLO, Message, ProtocolError, ack, parse};
use mesh::proto::zds::workload_request::Payload;
use mesh::proto::zds::{
    AddWorkload, DelWorkload, KeepWorkload, SnapshotSent, Version, WorkloadInfo, WorkloadRequest, ZdsHello,
};
use prost::Message as _;
use std::fs::File;
use std::os::fd::OwnedFd;

fn packet(payload: Payload) -> Vec<u8> {
    WorkloadRequest { payload: Some(payload) }.encode_to_vec()
}

fn add(info: Option<WorkloadInfo>) -> Vec<u8> {
    packet(Payload::Add(AddWorkload { uid: "uid-1".into(), workload_info: info }))
}

fn descriptors(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect()
}

fn fails(packet: &[u8], count: usize) -> ProtocolError {
    parse(packet, descriptors(count)).unwrap_err()
}

#[test]
fn messages_and_their_descriptors() {
    let info = WorkloadInfo { name: "cart".into(), namespace: "shop".into(), service_account: "sa".into() };
    let Ok(Message::Add { uid, info: read, .. }) = parse(&add(Some(info.clone())), descriptors(1)) else {
        panic!("not an add");
    };
    assert_eq!(
        (uid.as_str(), &*read.name, &*read.namespace, &*read.service_account),
        ("uid-1", "cart", "shop", "sa")
    );
    let uid = || "u".to_owned();
    let quiet = |payload| parse(&packet(payload), vec![]).unwrap();
    assert!(matches!(quiet(Payload::Keep(KeepWorkload { uid: uid() })), Message::Keep { uid } if uid == "u"));
    assert!(matches!(quiet(Payload::Del(DelWorkload { uid: uid() })), Message::Delete { uid } if uid == "u"));
    assert!(matches!(quiet(Payload::SnapshotSent(SnapshotSent {})), Message::SnapshotSent));
    assert_eq!(fails(&add(Some(info.clone())), 0), ProtocolError::Descriptors { expected: 1, got: 0 });
    assert_eq!(fails(&add(Some(info)), 2), ProtocolError::Descriptors { expected: 1, got: 2 });
    let snapshot = packet(Payload::SnapshotSent(SnapshotSent {}));
    assert_eq!(fails(&snapshot, 1), ProtocolError::Descriptors { expected: 0, got: 1 });
    assert_eq!(fails(&add(None), 1), ProtocolError::NoInfo("uid-1".into()));
    assert_eq!(fails(&[], 0), ProtocolError::Empty);
    assert!(matches!(fails(&[0xff, 0xff], 0), ProtocolError::Decode(_)));
}

#[test]
fn bytes_on_the_wire() {
    assert_eq!(ZdsHello { version: Version::V1 as i32 }.encode_to_vec(), HELLO);
    assert_eq!(ack(""), [0x0a, 0x00]);
    assert_eq!(ack("no"), [0x0a, 0x04, 0x0a, 0x02, b'n', b'o']);
}
