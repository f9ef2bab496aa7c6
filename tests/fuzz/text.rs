//! What operators and users write by hand: JSON, TOML, hexadecimal.

use conclave_types::{BundleId, Genesis, PayerAddress};

use crate::{fuzz, samples};

#[test]
fn genesis_json() {
    let corpus = [serde_json::to_vec_pretty(&samples::genesis()).expect("writes")];
    fuzz("genesis JSON", &corpus, |bytes| {
        let Ok(genesis) = serde_json::from_slice::<Genesis>(bytes) else { return };
        let again = serde_json::to_vec(&genesis).expect("writes");
        let again: Genesis = serde_json::from_slice(&again).expect("reads back");
        assert_eq!(again.network_id(), genesis.network_id(), "the network's id changed in transit");
        drop(genesis.validate());
    });
}

#[test]
fn ids_from_text() {
    let corpus = [format!("0x{}", "ab".repeat(32)).into_bytes(), b"ab".repeat(20)];
    fuzz("ids", &corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(id) = text.parse::<BundleId>() {
            assert_eq!(id.to_string().trim_start_matches("0x").len(), 64);
        }
        if let Ok(address) = text.parse::<PayerAddress>() {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    });
}
