//! What the fee ledger pays out, as `FeeVault` is shown it: by anyone, whoever is paid.

use alloy::primitives::{Address, B256, U256};
use conclave_contracts::{
    ConclaveInbox,
    FeeVault::{self, BlockCommitment, HistoryProof, Withdrawal},
};
use conclave_types::{Digest, wire::WithdrawalProof};

use super::{Call, Contracts, Endpoints, L1Error, Sender, Sent, relay::commitment_on_l1};

/// The newest height that has settled.
///
/// # Errors
///
/// If nobody answers.
pub async fn settled(endpoints: &Endpoints, contracts: &Contracts) -> Result<u64, L1Error> {
    let head = endpoints.call(contracts.inbox, &ConclaveInbox::headCall {}).await?;
    Ok(head.height.to::<u64>())
}

/// Whether a withdrawal was paid.
///
/// # Errors
///
/// If nobody answers.
pub async fn is_paid(
    endpoints: &Endpoints,
    contracts: &Contracts,
    index: u64,
) -> Result<bool, L1Error> {
    endpoints.call(contracts.vault, &FeeVault::isWithdrawnCall { index }).await
}

/// Whether a claim was refused because more has settled since its proof was made: L1 knows the roots of the last two
/// postings only.
#[must_use]
pub fn is_overtaken(error: &L1Error) -> bool {
    error.is_refusal("NotSettled")
}

/// Has a withdrawal paid.
///
/// # Errors
///
/// If the vault refuses: it was paid, or the proof does not hold.
pub async fn claim(
    sender: &Sender,
    contracts: &Contracts,
    proof: &WithdrawalProof,
) -> Result<Sent, L1Error> {
    let sent = sender.send(Call::new(contracts.vault, &withdraw(proof))).await?;
    sent.event::<FeeVault::Withdrawn>()?;
    Ok(sent)
}

fn withdraw(proof: &WithdrawalProof) -> FeeVault::withdrawCall {
    let WithdrawalProof { history, withdrawal, place, siblings } = proof;
    let (recipient, validator) = withdrawal.payee.on_l1();
    let on_l1 = commitment_on_l1(&history.commitment);
    let commitment = BlockCommitment {
        epoch: on_l1.epoch,
        height: on_l1.height,
        blockId: on_l1.blockId,
        historyRoot: on_l1.historyRoot,
        revealRoot: on_l1.revealRoot,
        rollupCount: on_l1.rollupCount,
        originNumber: on_l1.originNumber,
        originHash: on_l1.originHash,
        forcedCursor: on_l1.forcedCursor,
        withdrawalsRoot: on_l1.withdrawalsRoot,
        nextCommittee: on_l1.nextCommittee,
        dkgResult: on_l1.dkgResult,
    };
    FeeVault::withdrawCall {
        w: Withdrawal {
            index: withdrawal.index,
            recipient: Address::from(*recipient.as_bytes()),
            validator,
            amountGwei: withdrawal.amount.as_u64(),
        },
        proof: HistoryProof {
            commitment,
            under: history.under.as_u64(),
            path: words(&history.path),
        },
        place: U256::from(*place),
        siblings: words(siblings),
    }
}

fn words(digests: &[Digest]) -> Vec<B256> {
    digests.iter().map(|digest| B256::from(*digest.as_bytes())).collect()
}
