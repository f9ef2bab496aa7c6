//! What the fee ledger pays out, as `FeeVault` is shown it: by anyone, whoever is paid.

use alloy::primitives::{Address, B256, U256};
use conclave_contracts::{
    ConclaveInbox,
    FeeVault::{self, BlockCommitment, HistoryProof, Withdrawal},
    posting::commitment,
};
use conclave_types::{Digest, wire::WithdrawalProof};

use super::{Call, Contracts, Endpoints, L1Error, Sender, Sent};

/// The newest height that has settled.
///
/// # Errors
///
/// If nobody answers.
pub async fn settled(endpoints: &Endpoints, contracts: &Contracts) -> Result<u64, L1Error> {
    let head = endpoints.call(contracts.inbox, &ConclaveInbox::headCall {}).await?;
    Ok(head.height.to::<u64>())
}

/// Under which posting a height is best proved: one that stands for an hour if it covers it, else the newest; none if
/// that does not cover it either.
///
/// # Errors
///
/// If nobody answers.
pub async fn posting_to_prove_under(
    endpoints: &Endpoints,
    contracts: &Contracts,
    height: u64,
) -> Result<Option<u64>, L1Error> {
    let anchor = endpoints.call(contracts.inbox, &ConclaveInbox::anchorCall {}).await?;
    let covers = |posting: &u64| *posting >= height;
    if let Some(anchor) = Some(anchor.height.to::<u64>()).filter(covers) {
        return Ok(Some(anchor));
    }
    Ok(Some(settled(endpoints, contracts).await?).filter(covers))
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

/// Whether a claim was refused because more has settled since its proof was made, which was under a posting that does not
/// stand for long.
#[must_use]
pub fn is_overtaken(error: &L1Error) -> bool {
    error.is_refusal("NotPosted")
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
    let on_l1 = commitment(&history.commitment);
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

#[cfg(test)]
mod tests {
    use alloy::sol_types::SolError as _;

    use super::*;
    use crate::l1::revert::explain;

    #[test]
    fn a_proof_that_was_outrun_is_told_from_one_that_never_held() {
        let refused = |data: &[u8]| L1Error::Reverted(explain(data));
        let outrun = ConclaveInbox::NotPosted { height: 7 }.abi_encode();
        assert!(is_overtaken(&refused(&outrun)), "{:?}", refused(&outrun));
        let wrong = ConclaveInbox::NotSettled { height: 3, under: 7 }.abi_encode();
        assert!(!is_overtaken(&refused(&wrong)));
    }
}
