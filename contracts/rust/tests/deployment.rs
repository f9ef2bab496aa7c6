//! A whole deployment on a real EVM: the contracts are where they were foretold, they know each other, and
//! what Rust hashes and signs they accept.

#[cfg(test)]
mod l1;
#[cfg(test)]
mod secrets;

#[cfg(test)]
mod tests {
    use alloy::{
        primitives::{Address, B256, Bytes, U256, address},
        sol_types::{SolCall, SolError as _, SolValue as _},
    };
    use conclave_contracts::{
        ConclaveElection, ConclaveInbox, ConclaveSlasher, ConclaveStake, ConclaveTimelock,
        FeeVault, ForcedInclusion, KeyProofs, RollupRegistry,
        deployment::{Deployed, DeploymentConfig, DeploymentError, creations, predict},
    };
    use conclave_types::{
        BlockCommitment, BlockId, Digest, Epoch, Height, L1Origin, NetworkId, PayerAddress,
        SettlementMember, digest::SigningDomain, mmr::Peaks, settlement_committee,
    };

    use super::{
        l1::{CHAIN_ID, L1, block_hash},
        secrets::Secrets,
    };

    const DEPLOYER: Address = address!("00000000000000000000000000000000000de910");
    const COUNCIL: Address = address!("000000000000000000000000000000000000c0c1");
    const NETWORK: NetworkId = NetworkId::new([0x2e; 32]);
    /// Transactions that the deployer has sent before.
    const NONCE: u64 = 7;
    const VALIDATORS: u8 = 4;
    const STAKE_GWEI: u64 = 10_000_000_000;

    fn operator(number: u8) -> Address {
        Address::repeat_byte(number)
    }

    fn config() -> DeploymentConfig {
        DeploymentConfig::defaults(DEPLOYER, COUNCIL)
    }

    /// A chain with the contracts of a network.
    fn deploy(config: &DeploymentConfig) -> (L1, Deployed) {
        let operators = (1..=VALIDATORS).map(operator);
        let funded: Vec<_> = operators.chain([DEPLOYER]).collect();
        let mut l1 = L1::new(&funded, NONCE);
        for creation in creations(config, DEPLOYER, NONCE).unwrap() {
            assert!(l1.code(creation.address).is_empty(), "{} is early", creation.contract);
            assert_eq!(l1.create(DEPLOYER, &creation), Ok(()), "{}", creation.contract);
            assert!(!l1.code(creation.address).is_empty(), "{} is elsewhere", creation.contract);
        }
        (l1, predict(DEPLOYER, NONCE).unwrap())
    }

    fn ask<C: SolCall>(l1: &mut L1, of: Address, question: C) -> C::Return {
        l1.call(DEPLOYER, of, &question).expect("an answer")
    }

    #[test]
    fn creations_are_in_the_order_of_their_nonces_and_where_they_are_foretold() {
        let d = predict(DEPLOYER, NONCE).unwrap();
        let made = creations(&config(), DEPLOYER, NONCE).unwrap();
        let places = made.map(|creation| (creation.contract, creation.nonce, creation.address));
        assert_eq!(
            places,
            [
                ("ConclaveTimelock", 7, d.timelock),
                ("KeyProofs", 8, d.key_proofs),
                ("ConclaveElection", 9, d.election),
                ("ConclaveStake", 10, d.stake),
                ("ConclaveInbox", 11, d.inbox),
                ("ForcedInclusion", 12, d.forced),
                ("FeeVault", 13, d.vault),
                ("RollupRegistry", 14, d.registry),
                ("ConclaveSlasher", 15, d.slasher),
            ]
        );
    }

    /// `tests/vectors/deployment-v1.json`, which `contracts/test/Deployment.t.sol` reads too.
    fn vectors() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/deployment-v1.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &serde_json::Value) -> T {
        text.as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn contracts_are_where_the_vectors_have_them() {
        let vectors = vectors();
        let at = |name: &str| parse(&vectors["addresses"][name]);
        let expected = Deployed {
            timelock: at("timelock"),
            key_proofs: at("key_proofs"),
            election: at("election"),
            stake: at("stake"),
            inbox: at("inbox"),
            forced: at("forced"),
            vault: at("vault"),
            registry: at("registry"),
            slasher: at("slasher"),
        };
        let nonce = vectors["nonce"].as_u64().unwrap();
        assert_eq!(predict(parse(&vectors["deployer"]), nonce), Ok(expected));
    }

    #[test]
    fn defaults_are_those_of_the_vectors() {
        let vectors = vectors();
        let (launcher, council) = (parse(&vectors["launcher"]), parse(&vectors["council"]));
        let c = DeploymentConfig::defaults(launcher, council);
        let configuration = (
            c.launcher,
            c.proposers,
            c.executors,
            c.unbonding_seconds,
            c.first_rollup,
            c.rollup_fee_gwei,
            c.stake,
            c.election,
            c.forced,
            c.vault,
        );
        let encoded = Bytes::from(configuration.abi_encode());
        assert_eq!(encoded, parse::<Bytes>(&vectors["configuration"]));
    }

    #[test]
    fn an_account_without_nonces_deploys_nothing() {
        let last = u64::MAX - 10;
        assert!(predict(DEPLOYER, last).is_ok());
        for nonce in [last + 1, u64::MAX] {
            let refused = DeploymentError::NonceTooHigh(nonce);
            assert_eq!(predict(DEPLOYER, nonce), Err(refused.clone()));
            assert_eq!(creations(&config(), DEPLOYER, nonce), Err(refused));
        }
    }

    #[test]
    fn the_contracts_know_each_other() {
        let (mut l1, d) = deploy(&config());
        let l1 = &mut l1;
        let timelocks = [
            ask(l1, d.election, ConclaveElection::TIMELOCKCall {}),
            ask(l1, d.stake, ConclaveStake::TIMELOCKCall {}),
            ask(l1, d.forced, ForcedInclusion::TIMELOCKCall {}),
            ask(l1, d.vault, FeeVault::TIMELOCKCall {}),
            ask(l1, d.registry, RollupRegistry::TIMELOCKCall {}),
        ];
        assert_eq!(timelocks, [d.timelock; 5]);
        let stakes = [
            ask(l1, d.election, ConclaveElection::STAKECall {}),
            ask(l1, d.inbox, ConclaveInbox::STAKECall {}),
            ask(l1, d.vault, FeeVault::STAKECall {}),
            ask(l1, d.slasher, ConclaveSlasher::STAKECall {}),
        ];
        assert_eq!(stakes, [d.stake; 4]);
        let inboxes = [
            ask(l1, d.stake, ConclaveStake::INBOXCall {}),
            ask(l1, d.forced, ForcedInclusion::INBOXCall {}),
            ask(l1, d.vault, FeeVault::INBOXCall {}),
            ask(l1, d.registry, RollupRegistry::INBOXCall {}),
            ask(l1, d.slasher, ConclaveSlasher::INBOXCall {}),
        ];
        assert_eq!(inboxes, [d.inbox; 5]);
        let vaults = [
            ask(l1, d.inbox, ConclaveInbox::VAULTCall {}),
            ask(l1, d.forced, ForcedInclusion::VAULTCall {}),
            ask(l1, d.registry, RollupRegistry::VAULTCall {}),
        ];
        assert_eq!(vaults, [d.vault; 3]);
        let queues = [
            ask(l1, d.inbox, ConclaveInbox::FORCEDCall {}),
            ask(l1, d.vault, FeeVault::FORCEDCall {}),
        ];
        assert_eq!(queues, [d.forced; 2]);
        assert_eq!(ask(l1, d.stake, ConclaveStake::KEY_PROOFSCall {}), d.key_proofs);
        assert_eq!(ask(l1, d.stake, ConclaveStake::ELECTIONCall {}), d.election);
        assert_eq!(ask(l1, d.stake, ConclaveStake::SLASHERCall {}), d.slasher);
        assert_eq!(ask(l1, d.forced, ForcedInclusion::REGISTRYCall {}), d.registry);
    }

    #[test]
    fn the_contracts_hold_what_they_were_configured_with() {
        // Numbers that no default has, so that two that change places are seen.
        let mut config = config();
        (config.unbonding_seconds, config.rollup_fee_gwei) = (30 * 86_400, 1_234_567);
        (config.forced.entriesMax, config.forced.depositsMax) = (31, 33);
        let (mut l1, d) = deploy(&config);
        let l1 = &mut l1;
        assert_eq!(ask(l1, d.inbox, ConclaveInbox::LAUNCHERCall {}), config.launcher);
        let unbonding = ask(l1, d.stake, ConclaveStake::UNBONDING_SECONDSCall {});
        assert_eq!(unbonding, config.unbonding_seconds);
        assert_eq!(ask(l1, d.stake, ConclaveStake::stakeParametersCall {}), config.stake);
        assert_eq!(
            ask(l1, d.election, ConclaveElection::electionParametersCall {}),
            config.election
        );
        assert_eq!(ask(l1, d.forced, ForcedInclusion::forcedParametersCall {}), config.forced);
        assert_eq!(ask(l1, d.vault, FeeVault::vaultParametersCall {}), config.vault);
        assert_eq!(ask(l1, d.registry, RollupRegistry::feeCall {}), config.rollup_fee_gwei);
        let proposer = ask(l1, d.timelock, ConclaveTimelock::PROPOSER_ROLECall {});
        let executor = ask(l1, d.timelock, ConclaveTimelock::EXECUTOR_ROLECall {});
        for (role, account) in [(proposer, COUNCIL), (executor, Address::ZERO)] {
            assert!(ask(l1, d.timelock, ConclaveTimelock::hasRoleCall { role, account }));
        }
        let council = ConclaveTimelock::hasRoleCall { role: executor, account: COUNCIL };
        assert!(!ask(l1, d.timelock, council), "who proposes does not execute");
    }

    /// What possessions are signed in: the network has no id before its committee has keys.
    fn key_domain(d: &Deployed) -> SigningDomain {
        domain(d, NetworkId::new([0; 32]))
    }

    fn domain(d: &Deployed, network: NetworkId) -> SigningDomain {
        SigningDomain { network, l1_chain_id: CHAIN_ID, l1_contract: d.stake.into_array() }
    }

    /// Registers validator `number` with what its owner signs for `owner`, and proves its consensus key.
    fn register(l1: &mut L1, d: &Deployed, number: u8, owner: Address) -> Result<u32, Bytes> {
        let (secrets, from) = (Secrets::new(number), operator(number));
        let payer = PayerAddress::new(owner.into_array());
        let message = key_domain(d).settlement_key_possession(&payer, &secrets.settlement_key());
        let registration = ConclaveStake::registerCall {
            keys: secrets.keys(),
            possession: secrets.possess(&message),
            commissionBps: 500,
        };
        l1.pay(from, d.stake, STAKE_GWEI, &registration)
    }

    fn prove(l1: &mut L1, d: &Deployed, number: u8, owner: Address) -> Result<(), Bytes> {
        let secrets = Secrets::new(number);
        let payer = PayerAddress::new(owner.into_array());
        let message = key_domain(d).consensus_key_possession(&payer, &secrets.consensus_key());
        let (r, s) = secrets.sign_consensus(&message);
        let validator = u32::from(number);
        let proof = ConclaveStake::proveConsensusKeyCall { validator, keys: secrets.keys(), r, s };
        l1.call(DEPLOYER, d.stake, &proof).map(|_proven| ())
    }

    /// Elects all validators and puts them into office; returns them as Rust lists them.
    fn open(l1: &mut L1, d: &Deployed) -> (Vec<SettlementMember>, B256) {
        for number in 1..=VALIDATORS {
            assert_eq!(register(l1, d, number, operator(number)), Ok(u32::from(number)));
            assert_eq!(prove(l1, d, number, operator(number)), Ok(()));
            let validator = u32::from(number);
            ask(l1, d.election, ConclaveElection::enlistCall { validator, place: U256::ZERO });
        }
        let elected = ask(l1, d.election, ConclaveElection::electionNowCall {});
        assert_eq!(elected.members, [1, 2, 3, 4]);
        let members = (1..=VALIDATORS).zip(elected.powers).map(|(number, power)| {
            let secrets = Secrets::new(number);
            SettlementMember {
                consensus_key: secrets.consensus_key(),
                validator: u32::from(number),
                power,
                settlement_key: secrets.settlement_key(),
            }
        });
        let candidates = (1..=VALIDATORS).map(candidate).collect();
        let offered = ask(l1, d.election, ConclaveElection::snapshotEpochCall { candidates });
        let opening = ConclaveInbox::openCall {
            id: B256::from(*NETWORK.as_bytes()),
            committeeHash: offered,
            dkgResult: B256::repeat_byte(0xd6),
            origin: l1.number() - 1,
        };
        ask(l1, d.inbox, opening);
        (members.collect(), offered)
    }

    fn candidate(number: u8) -> ConclaveElection::Candidate {
        let keys = Secrets::new(number).keys();
        let point = keys.settlementKey;
        ConclaveElection::Candidate {
            validator: u32::from(number),
            keys: ConclaveElection::Keys {
                consensusKey: keys.consensusKey,
                settlementKey: ConclaveElection::G1Point {
                    xHigh: point.xHigh,
                    xLow: point.xLow,
                    yHigh: point.yHigh,
                    yLow: point.yLow,
                },
                networkKey: keys.networkKey,
            },
        }
    }

    #[test]
    fn possessions_that_rust_signs_are_the_ones_that_stake_accepts() {
        let (mut l1, d) = deploy(&config());
        let stolen = register(&mut l1, &d, 1, operator(2));
        assert_eq!(stolen, Err(KeyProofs::BadPossession {}.abi_encode().into()));
        assert_eq!(register(&mut l1, &d, 1, operator(1)), Ok(1));
        let key = B256::from(*Secrets::new(1).consensus_key().as_bytes());
        let stolen = prove(&mut l1, &d, 1, operator(2));
        assert_eq!(stolen, Err(KeyProofs::BadConsensusKeyProof { key }.abi_encode().into()));
        assert_eq!(prove(&mut l1, &d, 1, operator(1)), Ok(()));
    }

    #[test]
    fn an_election_names_its_committee_as_rust_does() {
        let (mut l1, d) = deploy(&config());
        let (members, offered) = open(&mut l1, &d);
        assert_eq!(offered, B256::from(*settlement_committee(&members).as_bytes()));
    }

    #[test]
    fn a_commitment_settles_under_the_digest_that_rust_signs() {
        let (mut l1, d) = deploy(&config());
        open(&mut l1, &d);
        l1.next_block();
        let mut history = Peaks::default();
        history.append(&Digest::new([1; 32]));
        history.append(&Digest::new([2; 32]));
        let origin = l1.number() - 1;
        let commitment = BlockCommitment {
            epoch: Epoch::new(0),
            height: Height::new(3),
            block: BlockId::new([3; 32]),
            history_root: history.root(),
            reveal_root: Digest::new([4; 32]),
            rollup_count: 5,
            l1_origin: L1Origin { number: origin, hash: Digest::new(block_hash(origin)) },
            forced_cursor: 0,
            withdrawals_root: Digest::new([6; 32]),
            epoch_end: None,
        };
        let digest = domain(&d, NETWORK).commitment(&commitment);
        let before = B256::from(*history.root().as_bytes());
        let posting = ConclaveInbox::Posting {
            commitment: on_l1(&commitment),
            signers: U256::from(0b1101),
            signature: Secrets::certify(&[1, 3, 4].map(Secrets::new), &digest),
            peaks: Vec::new(),
            added: vec![before],
        };
        ask(&mut l1, d.inbox, ConclaveInbox::commitCall { posting });
        let proof = ConclaveInbox::HistoryProof {
            commitment: on_l1(&commitment),
            under: 3,
            path: vec![before],
        };
        let proven = ask(&mut l1, d.inbox, ConclaveInbox::proveCommitmentCall { proof });
        assert_eq!(proven, B256::from(*digest.as_bytes()));
        history.append(&digest);
        let root = ask(&mut l1, d.inbox, ConclaveInbox::rootAtCall { height: 3 });
        assert_eq!(root, B256::from(*history.root().as_bytes()));
    }

    fn on_l1(commitment: &BlockCommitment) -> ConclaveInbox::BlockCommitment {
        ConclaveInbox::BlockCommitment {
            epoch: commitment.epoch.as_u64(),
            height: commitment.height.as_u64(),
            blockId: B256::from(*commitment.block.as_bytes()),
            historyRoot: B256::from(*commitment.history_root.as_bytes()),
            revealRoot: B256::from(*commitment.reveal_root.as_bytes()),
            rollupCount: commitment.rollup_count,
            originNumber: commitment.l1_origin.number,
            originHash: B256::from(*commitment.l1_origin.hash.as_bytes()),
            forcedCursor: commitment.forced_cursor,
            withdrawalsRoot: B256::from(*commitment.withdrawals_root.as_bytes()),
            nextCommittee: B256::ZERO,
            dkgResult: B256::ZERO,
        }
    }
}
