//! The whole, as its users meet it: the shipped binaries as processes of their own, over real sockets and disks,
//! while processes die and strangers talk nonsense.
//!
//! | module       | what must hold |
//! |--------------|----------------|
//! | [`devnet`]   | one command runs everything, reports honestly, and stops cleanly |
//! | [`acquit`]   | whoever is accused of what the chain that it knows has decided is acquitted, without an operator |
//! | [`attack`]   | validators that misbehave are named, convicted on L1 and left out, and nobody else is |
//! | [`conformance`] | what is done on L1 is the same on the embedded one and on anvil |
//! | [`epochs`]   | whom L1 elects is who serves, the key is handed on to them, and each epoch's end settles |
//! | [`escape`]   | when nothing settles anybody can have rollups leave and come back, and whoever is too early is told for what to wait |
//! | [`faults`]   | validators die and come back: no halt, no second signature, nothing lost or doubled |
//! | [`adapter`]  | a rollup node dies and ends with the state of one that never did |
//! | [`bundles`]  | stolen, re-priced, replayed and malformed bundles get their exact refusal |
//! | [`ports`]    | garbage on every port is answered or ignored, and the network goes on |
//! | [`l1`]       | nodes follow L1: the queue is carried first and in order, whatever becomes of L1 and of endpoints |
//! | [`liar`]     | one endpoint of three says what it likes: what is certified settles, nobody pays more, nothing is invented |
//! | [`hidden`]   | no secret of a validator is in what it prints, at the highest level of its log, nor unencrypted on its disk |
//! | [`keys`]     | the validators make the key and hand it on, through crashes; secrets are encrypted and erased |
//! | [`operator`] | what an operator can get wrong is refused by name, with the remedy |
//! | [`prove`]    | what was ordered is proved to a user and to L1, and no lie of a node is believed |
//! | [`relay`]    | what is certified settles on L1, whoever of the validators is alive, and whatever L1 takes back |
//! | [`replay`]   | what a recorded validator did, the simulator does again, step for step |
//! | [`reported`] | what a validator did wrong comes out of the nodes onto L1, by themselves and by hand |
//! | [`stake`]    | what operators, delegators, users and witnesses do on Ethereum does what it says, at a known cost |
//! | [`verify`]   | a tampered archive is found out by its height, one that cannot be read is not called invalid |
//! | [`wallet`]   | what validators lose before it is ordered is handed in again by the SDK |
//! | [`withdraw`] | fee balances come back to Ethereum by proof, and what an epoch earned reaches stake and pot |
//!
//! Tests wait for conditions, with a deadline each, and never for time to pass. The oracle
//! ([`harness::oracle`]) derives what rollups must receive from the blocks in its own arithmetic.
//! Children end with the test. `make test` builds the binaries first.

mod acquit;
mod adapter;
mod attack;
mod bundles;
mod conformance;
mod devnet;
mod epochs;
mod escape;
mod faults;
mod harness;
mod hidden;
mod keys;
mod l1;
mod liar;
mod operator;
mod ports;
mod prove;
mod relay;
mod replay;
mod reported;
mod stake;
mod verify;
mod wallet;
mod withdraw;
