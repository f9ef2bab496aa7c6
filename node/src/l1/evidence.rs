//! Evidence as a node keeps it, in the words of `ConclaveSlasher`.

use alloy::{primitives::B256, providers::Provider as _};
use conclave_consensus::{Evidence, SignedProposal, SignedVote};
use conclave_contracts::{
    ConclaveSlasher, ConclaveStake,
    bindings::slasher::IConclaveSlasher::{
        Position, Signature, SignedProposal as Proposed, SignedVote as Voted,
    },
};
use conclave_types::{
    Committee, ConsensusKey, Digest, Epoch, Genesis, SignatureBytes, digest::SigningDomain,
};

use super::{Call, Contracts, Endpoints, L1Error, Sender, Sent};

/// The code of a committee's account: 0x00, the sum of the settlement keys, then rows that begin with the
/// consensus key (`docs/spec/settlement.md`).
const TABLE_HEAD_BYTES: usize = 1 + 96;
const ROW_BYTES: usize = 32 + 4 + 8 + 96;

/// A report of what a validator did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The offence's identity on L1.
    pub offence: B256,
    /// The validator's number on L1.
    pub validator: u32,
    /// What was seized, in gwei.
    pub seized_gwei: u64,
    /// The transaction.
    pub sent: Sent,
}

/// Reads evidence and checks it as a node of the network of `genesis` would: what this refuses L1 refuses too.
///
/// # Errors
///
/// If it is none, or convicts nobody there.
pub fn read(bytes: &[u8], genesis: &Genesis) -> Result<Evidence, L1Error> {
    let evidence: Evidence = borsh::from_slice(bytes).map_err(|error| {
        L1Error::Evidence(format!(
            "this is no evidence of equivocation as a node keeps it ({error})"
        ))
    })?;
    let committee = Committee::new(genesis.members.clone())
        .map_err(|error| L1Error::Evidence(error.to_string()))?;
    let domain = SigningDomain::of(genesis);
    if evidence.verify(&committee, &domain, Epoch::ZERO) {
        return Ok(evidence);
    }
    let offender = evidence.offender();
    Err(L1Error::Evidence(format!(
        "this does not convict validator {offender} of network {}; check that the genesis is that of the evidence",
        domain.network
    )))
}

/// Posts evidence; anyone may. What the offender has at stake is seized at once.
///
/// # Errors
///
/// If the contract refuses it.
pub async fn submit(
    sender: &Sender,
    contracts: &Contracts,
    evidence: &Evidence,
    genesis: &Genesis,
) -> Result<Report, L1Error> {
    let (height, round) = evidence.at();
    let domain = &SigningDomain::of(genesis);
    let offender = evidence.offender();
    let member = genesis.members.get(usize::from(offender.as_u16()));
    let member =
        member.ok_or_else(|| L1Error::Missing { what: format!("validator {offender}") })?;
    let key = &member.consensus_key;
    let at = Position {
        epoch: Epoch::ZERO.as_u64(),
        member: place(sender.endpoints(), contracts, key).await?,
        height: height.as_u64(),
        round: round.as_u32(),
    };
    let call = match evidence {
        Evidence::Votes(a, b) => votes(at, a, b, domain, contracts),
        Evidence::Proposals(a, b) => proposals(at, a, b, domain, contracts),
    };
    let sent = sender.send(call).await?;
    let told = sent.event::<ConclaveSlasher::Convicted>()?;
    let seized_gwei = u64::try_from(told.seized).unwrap_or(u64::MAX);
    Ok(Report { offence: told.offence, validator: told.validator, seized_gwei, sent })
}

/// Where the committee in office on L1 has a key: L1 orders members by their numbers there.
async fn place(
    endpoints: &Endpoints,
    contracts: &Contracts,
    key: &ConsensusKey,
) -> Result<u16, L1Error> {
    let question = ConclaveStake::committeeOfCall { epoch: Epoch::ZERO.as_u64() };
    let table = endpoints.call(contracts.stake, &question).await?.table;
    let code =
        endpoints.ask("eth_getCode", |provider| async move { provider.get_code_at(table).await });
    let code = code.await?;
    let mut rows =
        (0_u16..).zip(code.get(TABLE_HEAD_BYTES..).unwrap_or_default().chunks(ROW_BYTES));
    let found = rows.find(|(_, row)| row.starts_with(key.as_bytes()));
    found.map(|(place, _)| place).ok_or_else(|| L1Error::Missing {
        what: format!(
            "a member with consensus key {} in the committee of epoch 0 on L1",
            hex::encode(key.as_bytes())
        ),
    })
}

fn votes(
    at: Position,
    a: &SignedVote,
    b: &SignedVote,
    domain: &SigningDomain,
    contracts: &Contracts,
) -> Call {
    let kind = a.kind.code();
    let [first, second] = ascending([a, b], |vote| vote.digest(domain, Epoch::ZERO)).map(|vote| {
        let block = vote.block.map_or(B256::ZERO, |block| B256::from(*block.as_bytes()));
        Voted { blockId: block, signature: signature(&vote.signature) }
    });
    Call::new(contracts.slasher, &ConclaveSlasher::reportVotesCall { at, kind, first, second })
}

fn proposals(
    at: Position,
    a: &SignedProposal,
    b: &SignedProposal,
    domain: &SigningDomain,
    contracts: &Contracts,
) -> Call {
    let digest = |proposal: &SignedProposal| proposal.digest(domain, Epoch::ZERO);
    let [first, second] = ascending([a, b], digest).map(|proposal| Proposed {
        blockId: B256::from(*proposal.block.as_bytes()),
        polkaRound: proposal.pol_round.map_or(u32::MAX, |round| round.as_u32()),
        signature: signature(&proposal.signature),
    });
    Call::new(contracts.slasher, &ConclaveSlasher::reportProposalsCall { at, first, second })
}

/// The order that makes one offence one report, whoever saw what first.
fn ascending<T>([a, b]: [&T; 2], digest: impl Fn(&T) -> Digest) -> [&T; 2] {
    if digest(a) <= digest(b) { [a, b] } else { [b, a] }
}

fn signature(bytes: &SignatureBytes) -> Signature {
    let (r, s) = bytes.as_bytes().split_at(32);
    Signature { r: B256::from_slice(r), s: B256::from_slice(s) }
}
