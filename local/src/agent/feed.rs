//! What istiod is told and what it answers. A user's objects are stored when istiod has accepted them.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::{Agent, Replies};
use crate::cluster::store::Changes;
use crate::control::Reply;
use crate::istiod;
use crate::istiod::message::{self, FromIstiod, line};
use crate::manifest::Object;
use crate::manifest::kinds::CONFIG_MAP;

/// The conversation as it stands.
#[derive(Default)]
pub(super) struct Feed {
    to_istiod: Option<mpsc::UnboundedSender<String>>,
    next: u64,
    asked: HashMap<u64, Asked>,
    /// Since when the agent runs; `None` until istiod serves.
    pub(super) ready: bool,
    pub(super) ended: Option<String>,
}

/// A user's objects that istiod is looking at.
pub(super) struct Asked {
    pub(super) candidates: Vec<Candidate>,
    pub(super) replies: Replies,
}

pub(super) struct Candidate {
    pub(super) origin: String,
    pub(super) object: Object,
    /// `created`, `configured`, `scaled` …
    pub(super) how: &'static str,
}

impl Feed {
    /// Tells istiod what the cluster did; without istiod there is nobody to tell, and it will get everything anyway.
    pub(super) fn tell(&mut self, changes: &Changes) {
        self.next += 1;
        if let Some(to) = &self.to_istiod {
            let _ = to.send(line(self.next, changes)); // it ended: the next one is told everything
        }
    }

    fn ask(&mut self, asked: Asked, also: Changes) -> Option<Asked> {
        let Some(to) = &self.to_istiod else { return Some(asked) };
        self.next += 1;
        let mut changes = also;
        changes.apply.extend(asked.candidates.iter().map(|c| c.object.json.clone()));
        if to.send(line(self.next, &changes)).is_err() {
            return Some(asked);
        }
        self.asked.insert(self.next, asked);
        None
    }
}

impl Agent {
    /// Has istiod look at objects; what it accepts is stored.
    pub(super) fn submit(&mut self, asked: Asked) {
        if !self.mesh {
            return self.accept(asked, &[]);
        }
        let changes = self.store.take_changes();
        if let Some(asked) = self.feed.ask(asked, changes) {
            let why = self.feed.ended.clone().unwrap_or_else(|| "it is still starting".to_owned());
            let message = format!("istiod is not there to check the objects: {why}");
            let _ = asked.replies.send(Reply::Error { message }); // the client is gone
        }
    }

    fn accept(&mut self, asked: Asked, rejected: &[message::Rejection]) {
        for candidate in asked.candidates {
            let key = candidate.object.key.clone();
            let name = key.to_string();
            if let Some(rejection) = rejected.iter().find(|r| r.key() == key) {
                let (origin, message) = (candidate.origin, rejection.text());
                let _ = asked.replies.send(Reply::Refused { origin, object: name, message });
                continue;
            }
            let mut object = candidate.object;
            // istiod may have written its status before it answered.
            if let Some(status) = self.store.get(&key).and_then(|now| now.json.get("status")) {
                object.json["status"] = status.clone();
            }
            self.store.put(object);
            let _ = asked.replies.send(Reply::Changed { object: name, how: candidate.how.to_owned() });
        }
        let _ = asked.replies.send(Reply::Done); // if the client is still there
    }

    pub(super) fn hear(&mut self, event: istiod::Event) {
        match event {
            istiod::Event::Connected(to) => {
                let all =
                    Changes { apply: self.store.all().map(|o| o.json.clone()).collect(), delete: Vec::new() };
                self.store.take_changes();
                self.feed.to_istiod = Some(to);
                self.feed.ended = None;
                self.feed.tell(&all);
            }
            istiod::Event::Ended(why) => {
                tracing::error!(why, "istiod ended");
                self.feed.to_istiod = None;
                self.feed.ready = false;
                for (_, asked) in self.feed.asked.drain() {
                    let _ = asked.replies.send(Reply::Error { message: format!("istiod ended: {why}") });
                }
                self.feed.ended = Some(why);
            }
            istiod::Event::Message(message) => self.message(message),
        }
    }

    fn message(&mut self, message: FromIstiod) {
        match message {
            FromIstiod::Reply(reply) => self.reply(reply),
            FromIstiod::Ready { root_cert } => {
                self.controllers.root_cert = Some(root_cert);
                self.feed.ready = true;
            }
            FromIstiod::Changed(object) => self.changed(*object),
            FromIstiod::Removed(key) => {
                self.store.remove(&key);
            }
            FromIstiod::Nack { proxy, message } => {
                tracing::warn!(proxy, message, "a proxy rejected configuration");
                self.announce(&format!("{proxy} rejected configuration: {message}"));
            }
            FromIstiod::Other(event) => tracing::debug!(event, "an event this version does not know"),
        }
    }

    fn reply(&mut self, reply: message::Reply) {
        let Some(asked) = self.feed.asked.remove(&reply.id) else {
            for rejection in &reply.rejected {
                tracing::warn!("istiod rejected {}: {}", rejection.key(), rejection.text());
                self.announce(&format!("istiod rejected {}: {}", rejection.key(), rejection.text()));
            }
            if let Some(error) = reply.error {
                tracing::error!(error, "istiod could not use what it was told");
            }
            return;
        };
        for message in reply.warnings {
            let _ = asked.replies.send(Reply::Warning { message });
        }
        match reply.error {
            Some(message) => drop(asked.replies.send(Reply::Error { message: format!("istiod: {message}") })),
            None => self.accept(asked, &reply.rejected),
        }
    }

    /// istiod wrote an object: of ours it owns the status (and of ConfigMaps the data), others are its own.
    fn changed(&mut self, written: Object) {
        let Some(old) = self.store.get(&written.key) else {
            self.store.put_quietly(written);
            return;
        };
        let mut new = old.clone();
        for field in ["status", "data"] {
            if field == "data" && !written.key.is(&CONFIG_MAP) {
                continue;
            }
            if let Some(value) = written.json.get(field) {
                new.json[field] = value.clone();
            }
        }
        self.store.put_quietly(new);
    }
}
