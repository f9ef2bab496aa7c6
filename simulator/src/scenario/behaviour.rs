//! How a Byzantine validator behaves: the adversaries of the scenario language, each with its name and what it does.
//!
//! Each is in a file of its own, which has its name: `false-openings` is `adversary/false_openings.rs`.

use serde::{Deserialize, Serialize};

macro_rules! behaviours {
    ($($(#[doc = $does:literal])+ $variant:ident $name:literal;)+) => {
        /// How a Byzantine validator behaves. Several may be given to one validator.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
        pub enum Behaviour {
            $($(#[doc = $does])+ #[serde(rename = $name)] $variant,)+
        }

        impl Behaviour {
            /// All that there are.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// What it is called in a scenario.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it does, in a sentence.
            #[must_use]
            pub const fn does(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($does),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

behaviours! {
    /// Sends nothing at all.
    Silent "silent";
    /// Talks to half of the validators only.
    Partial "partial";
    /// Proposes and relays, and never votes.
    Abstain "abstain";
    /// Sends everything late, at the edge of the timeouts.
    Dawdle "dawdle";
    /// Sends its proposals just when half of the others have given up, and learns when that is.
    Brink "brink";
    /// Forgets its lock: prevotes for whatever is proposed, and proposes anew instead of again.
    Amnesia "amnesia";
    /// Votes in the name of others, under its own signature.
    Impersonate "impersonate";
    /// Sends votes for nil back as votes for the block whose id they are signed over.
    DisguiseNil "disguise-nil";
    /// Signs two votes for each step and shows them to different halves.
    Equivocate "equivocate";
    /// Signs the opposite of each vote too, and sends it half a second later.
    EquivocateLate "equivocate-late";
    /// Votes with everyone: each validator hears that it agrees.
    Parrot "parrot";
    /// Runs on two machines with one key.
    Twins "twins";
    /// Signs two proposals for each of its rounds and shows everyone both.
    TwinProposals "twin-proposals";
    /// Makes up certificates: of prevotes for its blocks, and of votes in the next round.
    FalseCertificates "false-certificates";
    /// Proposes two blocks in each of its rounds and shows them to different halves.
    TwinBlocks "twin-blocks";
    /// Proposes blocks that name another ledger digest.
    WrongLedger "wrong-ledger";
    /// Proposes blocks that name another digest of what is revealed.
    WrongReveal "wrong-reveal";
    /// Proposes blocks with a bundle that nobody has.
    UnknownBundle "unknown-bundle";
    /// Proposes blocks from the future.
    FutureTime "future-time";
    /// Proposes blocks at the edge of what the others' clocks allow.
    EdgeTime "edge-time";
    /// Proposes blocks with a payer's later bundles before its earlier ones.
    Disorder "disorder";
    /// Proposes blocks with a bundle of an earlier block in them.
    Replay "replay";
    /// Proposes blocks with one of their bundles in them twice.
    TwinBundles "twin-bundles";
    /// Proposes blocks on an L1 origin that nobody has seen.
    UnknownOrigin "unknown-origin";
    /// Proposes blocks without the first entry that L1 asks for.
    OmitEntry "omit-entry";
    /// Proposes blocks with a deposit that nobody has made.
    InventEntry "invent-entry";
    /// Proposes blocks with what L1 asks for in reverse.
    ReorderEntries "reorder-entries";
    /// Proposes blocks with an entry of L1 that was carried before.
    RepeatEntry "repeat-entry";
    /// Proposes blocks on its parent's L1 origin, whatever has become final.
    StaleOrigin "stale-origin";
    /// Votes for no block that sees more of L1 than its parent, so that nothing that is forced is carried.
    Blockade "blockade";
    /// Proposes blocks on the L1 origin of the genesis.
    OldOrigin "old-origin";
    /// Proposes blocks with a committee of itself and another that L1 has not offered.
    InventOffer "invent-offer";
    /// Announces proposals and never hands out their blocks.
    HiddenBlock "hidden-block";
    /// Leaves the first payer's bundles out of its blocks.
    Censor "censor";
    /// Leaves all bundles out of its blocks, however long they have waited.
    EmptyBlocks "empty-blocks";
    /// Sends no shares.
    WithholdShares "withhold-shares";
    /// Sends its shares when the others have asked for them, and after.
    LateShares "late-shares";
    /// Sends shares that are not of its key.
    WrongShares "wrong-shares";
    /// Sends its shares for every block that is proposed, before anything is decided.
    PrematureShares "premature-shares";
    /// Sends shares of blocks that nobody proposed, while others are proposed.
    StrayShares "stray-shares";
    /// Attests another history besides, at every height.
    DoubleAttestations "double-attestations";
    /// Attests another history in place of its own at every other height, and no height twice.
    AlternateAttestations "alternate-attestations";
    /// Sends attestations that it has not signed.
    ForgedAttestations "forged-attestations";
    /// Shares every proposed block with others who collude, and opens what they can together.
    Collude "collude";
    /// Erases no share, and once one of those who hoard is no member any more, shares with the others what it makes
    /// of every proposed block.
    Hoard "hoard";
    /// Sends openings that open nothing, asked or not.
    FalseOpenings "false-openings";
    /// Shows whoever catches up other blocks than were decided.
    FalseHistory "false-history";
    /// Claims to be far ahead, and never delivers.
    Boast "boast";
    /// Sends hundreds of variants of every block, and votes from far ahead.
    Flood "flood";
    /// Passes on bundles that no payer made: stolen, re-priced, mauled.
    Forge "forge";
    /// Keeps to the protocol, and tells a searcher of every bundle that it sees.
    FrontRun "front-run";
    /// Deals something else, well proved, to two validators when a key is made.
    BadDealer "bad-dealer";
    /// Complains about a dealing that is right.
    FalseComplaint "false-complaint";
    /// Registers for a sharing, and says nothing more.
    MuteDealer "mute-dealer";
}
