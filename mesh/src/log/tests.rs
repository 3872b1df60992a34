use super::writer::Writer;
use super::{Format, LogError, LogHandle, subscriber};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `act` logs, line by line.
fn logged(format: Format, filter: &str, act: impl FnOnce(&LogHandle)) -> Vec<String> {
    let output = Output::default();
    let (subscriber, handle) = subscriber(format, filter, Writer::spawn(output.clone()).unwrap()).unwrap();
    tracing::subscriber::with_default(subscriber, || act(&handle));
    handle.flush();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_plain_line_has_five_tab_separated_columns() {
    let lines = logged(Format::Plain, "info", |_| {
        tracing::info!(
            target: "access",
            { src.addr = %"10.0.0.1:80", src.workload = "sleep", bytes_sent = 7, error = %"two words" },
            "connection complete"
        );
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let columns: Vec<_> = line.split('\t').collect();
    assert_eq!(
        columns[1..],
        [
            "info",
            "access",
            "connection complete",
            r#"src.addr=10.0.0.1:80 src.workload="sleep" bytes_sent=7 error="two words""#
        ]
    );
    let time = chrono::DateTime::parse_from_rfc3339(columns[0]).unwrap();
    assert_eq!(time.offset().local_minus_utc(), 0, "UTC");
}

#[test]
fn no_value_makes_a_second_line_or_column() {
    let evil = "a\tb\nc\x1b[31m";
    let lines = logged(Format::Plain, "info", |_| tracing::info!(text = evil, shown = %evil, "{evil}"));
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(line.split('\t').count(), 5, "{line}");
    assert!(!line.contains('\x1b'), "{line}");
}

#[test]
fn json_keeps_types_and_order() {
    let lines =
        logged(Format::Json, "info", |_| tracing::warn!(target: "dns", n = 3, ok = true, name = "x", "m"));
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["level", "time", "scope", "message", "n", "ok", "name"]);
    assert_eq!(
        (&value["level"], &value["scope"], &value["message"]),
        (&"warn".into(), &"dns".into(), &"m".into())
    );
    assert_eq!((&value["n"], &value["ok"], &value["name"]), (&3.into(), &true.into(), &"x".into()));
}

#[test]
fn levels_change_while_running_and_reset() {
    let lines = logged(Format::Plain, "info", |handle| {
        tracing::debug!("hidden");
        handle.set_level("log::tests:debug").unwrap();
        tracing::debug!("shown");
        assert_eq!(handle.current(), "info,log::tests=debug");
        assert!(matches!(handle.set_level("loud"), Err(LogError::Filter(_))));
        assert_eq!(handle.current(), "info,log::tests=debug", "a refused level changes nothing");
        handle.reset();
        tracing::debug!("hidden again");
        assert_eq!(handle.current(), "info");
        handle.set_level("off").unwrap();
        tracing::error!("silenced");
        handle.write_line("past all filters".into());
    });
    let messages: Vec<_> = lines.iter().map(|line| line.split('\t').nth(3).unwrap_or(line)).collect();
    assert_eq!(messages, ["shown", "past all filters"]);
}

/// A writer that takes nothing until it is let go.
struct Gate(std::sync::mpsc::Receiver<()>, Output);

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The sender's end opens the gate for good.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_queue_waits_and_loses_nothing() {
    let (gate, closed) = std::sync::mpsc::channel();
    let output = Output::default();
    let writer = Writer::spawn(Gate(closed, output.clone())).unwrap();
    let total = crate::limits::LOG_QUEUE + 1000;
    let logging = {
        let writer = writer.clone();
        std::thread::spawn(move || (0..total).for_each(|n| writer.write(n.to_string())))
    };
    drop(gate);
    logging.join().unwrap();
    writer.flush();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    assert!(text.lines().eq((0..total).map(|n| n.to_string())));
}
