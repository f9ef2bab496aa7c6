//! Whom to dial: the addresses of the configuration, and those of a file that is read again before each
//! attempt, for peers whose ports are only known once they run.

use std::{collections::BTreeMap, path::PathBuf};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// Addresses that a peers file may hold: the largest committee, twice over.
const ADDRESSES_MAX: usize = 2_048;

/// Where peers can be reached.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    fixed: Vec<Multiaddr>,
    file: Option<PathBuf>,
}

impl AddressBook {
    /// The addresses of the configuration and the file beside it.
    #[must_use]
    pub const fn new(fixed: Vec<Multiaddr>, file: Option<PathBuf>) -> Self {
        Self { fixed, file }
    }

    /// Every known address by peer.
    #[must_use]
    pub fn read(&self) -> BTreeMap<PeerId, Vec<Multiaddr>> {
        let mut book: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        let found = self.fixed.iter().cloned().chain(self.read_file());
        for (peer, address) in found.filter_map(|address| split(&address)) {
            book.entry(peer).or_default().push(address);
        }
        book
    }

    fn read_file(&self) -> Vec<Multiaddr> {
        let Some(path) = &self.file else { return Vec::new() };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            // The supervisor writes it once it knows the ports.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read the peers file");
                return Vec::new();
            }
        };
        match serde_json::from_slice::<Vec<Multiaddr>>(&text) {
            Ok(mut addresses) => {
                addresses.truncate(ADDRESSES_MAX);
                addresses
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the peers file is no JSON array of addresses");
                Vec::new()
            }
        }
    }
}

fn split(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut address = address.clone();
    match address.pop() {
        Some(Protocol::P2p(peer)) => Some((peer, address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_file_join_those_of_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("peers.json");
        let peer = PeerId::random();
        let fixed = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}").parse().unwrap();
        let book = AddressBook::new(vec![fixed], Some(file.clone()));
        assert_eq!(book.read().get(&peer).map(Vec::len), Some(1), "the file is not there yet");
        std::fs::write(&file, format!(r#"["/ip4/127.0.0.1/tcp/2/p2p/{peer}"]"#)).unwrap();
        assert_eq!(book.read().get(&peer).map(Vec::len), Some(2));
        std::fs::write(&file, "garbage").unwrap();
        assert_eq!(book.read().get(&peer).map(Vec::len), Some(1));
    }
}
