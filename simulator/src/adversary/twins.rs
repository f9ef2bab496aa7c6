//! Two machines with one key: what happens to an operator who starts a copy of a validator beside it.
//!
//! The copy runs the shipped core on a disk of its own. It hears what its twin hears, and everyone hears
//! both. It moves when it hears something, which is every few milliseconds.

use std::sync::Arc;

use conclave_sequencer::{
    Config, Effects, Input, Message, Peer, Ready, Sequencer,
    archive::{self, ArchiveRequest},
};
use conclave_types::ValidatorIndex;

use super::{Letter, Means, Misbehaviour};
use crate::disk::Disk;

/// The second machine.
#[derive(Default)]
pub(super) struct Twins {
    copy: Option<Sequencer>,
    disk: Option<Disk>,
}

impl Twins {
    /// Starts the copy, if it is not running. Its disk is that of a new validator.
    fn start(&mut self, means: &mut Means) -> Vec<Letter> {
        if self.disk.is_some() {
            return Vec::new();
        }
        let disk = self.disk.insert(Disk::new_validator());
        let config = Config {
            genesis: Arc::clone(&means.genesis),
            identity: Some(means.identity.clone()),
            seed: means.random.bytes(),
        };
        let Ok((copy, ready)) = Sequencer::recover(config, disk, means.now) else {
            return Vec::new();
        };
        self.copy = Some(copy);
        let mut letters = self.carry_out(means, ready);
        for other in means.others() {
            let peer = Peer::Validator(ValidatorIndex::new(other));
            letters.extend(self.step(means, Input::PeerUp(peer)));
        }
        letters
    }

    fn step(&mut self, means: &mut Means, input: Input) -> Vec<Letter> {
        let Some(copy) = &mut self.copy else { return Vec::new() };
        let ready = copy.step(means.now, input);
        self.carry_out(means, ready)
    }

    fn carry_out(&mut self, means: &mut Means, ready: Ready) -> Vec<Letter> {
        let Some(disk) = &mut self.disk else { return Vec::new() };
        // The copy's disk never fails: nobody fills it or cuts its power.
        let Ok(effects) = ready.persist(disk) else { return Vec::new() };
        let Effects { send, broadcast, jobs, serve, .. } = effects;
        let mut letters = Vec::new();
        for message in broadcast {
            letters.extend(means.others().map(|to| Letter::new(to, message.clone())));
        }
        let answers =
            serve.into_iter().filter_map(|(to, request)| Some((to, answer(disk, &request)?)));
        for (to, message) in send.into_iter().chain(answers) {
            if let Peer::Validator(to) = to {
                letters.push(Letter::new(to.as_u16(), message));
            }
        }
        letters.iter().for_each(|_| means.count("twin_messages"));
        for (job, work) in jobs {
            letters.extend(self.step(means, Input::JobDone { job, output: work.run() }));
        }
        letters
    }
}

fn answer(disk: &Disk, request: &ArchiveRequest) -> Option<Message> {
    archive::answer(disk, request).ok().flatten()
}

impl Misbehaviour for Twins {
    fn incoming(&mut self, means: &mut Means, from: u16, message: &Message) -> Vec<Letter> {
        let mut letters = self.start(means);
        let from = Peer::Validator(ValidatorIndex::new(from));
        letters.extend(self.step(means, Input::Message { from, message: message.clone() }));
        let due = self.copy.as_ref().and_then(Sequencer::wake_at).is_some_and(|at| at <= means.now);
        if due {
            letters.extend(self.step(means, Input::Tick));
        }
        letters
    }
}
