//! What proves something to L1, as a node serves it.

use super::{WireError, id};
use crate::{
    attestation::SettlementCertificate,
    commitment::BlockCommitment,
    height::Height,
    ids::{Digest, PayerAddress},
    params::Gwei,
    proto::v1,
    withdrawal::{Payee, Withdrawal},
};

fn digest(bytes: &[u8], field: &'static str) -> Result<Digest, WireError> {
    id(bytes, field, Digest::from_slice)
}

/// Reads digests, naming `field` in the error.
///
/// # Errors
///
/// [`WireError::Id`] if one is of another length.
pub fn digests(rows: &[Vec<u8>], field: &'static str) -> Result<Vec<Digest>, WireError> {
    rows.iter().map(|row| digest(row, field)).collect()
}

/// Digests as bytes.
#[must_use]
pub fn bytes(digests: &[Digest]) -> Vec<Vec<u8>> {
    digests.iter().map(|digest| digest.as_bytes().to_vec()).collect()
}

/// A commitment, and where it stands in the history that has settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryProof {
    /// The commitment.
    pub commitment: BlockCommitment,
    /// Height of the posting whose history it is in.
    pub under: Height,
    /// Path of its entry, from the bottom up.
    pub path: Vec<Digest>,
}

impl From<&HistoryProof> for v1::HistoryProof {
    fn from(proof: &HistoryProof) -> Self {
        Self {
            commitment: Some((&proof.commitment).into()),
            under: proof.under.as_u64(),
            path: bytes(&proof.path),
        }
    }
}

impl TryFrom<&v1::HistoryProof> for HistoryProof {
    type Error = WireError;

    fn try_from(proof: &v1::HistoryProof) -> Result<Self, WireError> {
        let commitment = proof.commitment.as_ref().ok_or(WireError::Missing("commitment"))?;
        Ok(Self {
            commitment: commitment.try_into()?,
            under: Height::new(proof.under),
            path: digests(&proof.path, "path")?,
        })
    }
}

/// A commitment, and a quorum's certificate that covers it. Nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedCommitment {
    /// The commitment.
    pub commitment: BlockCommitment,
    /// Of that commitment, or of a later one.
    pub certificate: SettlementCertificate,
    /// Path of its entry in the history of the commitment in the certificate, from the bottom up; empty if they are one.
    pub path: Vec<Digest>,
}

impl From<&CertifiedCommitment> for v1::GetCertifiedCommitmentResponse {
    fn from(certified: &CertifiedCommitment) -> Self {
        Self {
            commitment: Some((&certified.commitment).into()),
            certificate: Some((&certified.certificate).into()),
            path: bytes(&certified.path),
        }
    }
}

impl TryFrom<&v1::GetCertifiedCommitmentResponse> for CertifiedCommitment {
    type Error = WireError;

    fn try_from(response: &v1::GetCertifiedCommitmentResponse) -> Result<Self, WireError> {
        let commitment = response.commitment.as_ref().ok_or(WireError::Missing("commitment"))?;
        let certificate = response.certificate.as_ref().ok_or(WireError::Missing("certificate"))?;
        Ok(Self {
            commitment: commitment.try_into()?,
            certificate: certificate.try_into()?,
            path: digests(&response.path, "path")?,
        })
    }
}

/// A withdrawal, and the height whose commitment covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidOut {
    /// The withdrawal.
    pub withdrawal: Withdrawal,
    /// The height.
    pub height: Height,
}

impl From<&PaidOut> for v1::Withdrawal {
    fn from(paid: &PaidOut) -> Self {
        let (recipient, validator) = match paid.withdrawal.payee {
            Payee::Account(recipient) => (recipient.as_bytes().to_vec(), 0),
            Payee::Stake(validator) => (Vec::new(), validator),
            Payee::Pot => (Vec::new(), 0),
        };
        Self {
            index: paid.withdrawal.index,
            recipient,
            validator,
            amount_gwei: paid.withdrawal.amount.as_u64(),
            height: paid.height.as_u64(),
        }
    }
}

impl TryFrom<&v1::Withdrawal> for PaidOut {
    type Error = WireError;

    fn try_from(paid: &v1::Withdrawal) -> Result<Self, WireError> {
        let payee = payee(&paid.recipient, paid.validator)?;
        let amount = Gwei::new(paid.amount_gwei);
        let withdrawal = Withdrawal { index: paid.index, payee, amount };
        Ok(Self { withdrawal, height: Height::new(paid.height) })
    }
}

impl TryFrom<&v1::ListWithdrawalsRequest> for Payee {
    type Error = WireError;

    fn try_from(request: &v1::ListWithdrawalsRequest) -> Result<Self, WireError> {
        payee(&request.recipient, request.validator)
    }
}

fn payee(recipient: &[u8], validator: u32) -> Result<Payee, WireError> {
    match (recipient, validator) {
        ([], 0) => Ok(Payee::Pot),
        ([], validator) => Ok(Payee::Stake(validator)),
        (recipient, 0) => Ok(Payee::Account(id(recipient, "recipient", PayerAddress::from_slice)?)),
        (_, _) => Err(WireError::Exclusive { one: "recipient", other: "validator" }),
    }
}

/// All that shows a withdrawal to L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawalProof {
    /// The commitment that covers it.
    pub history: HistoryProof,
    /// The withdrawal.
    pub withdrawal: Withdrawal,
    /// Its place among the leaves.
    pub place: u64,
    /// Siblings of its leaf, from the bottom up.
    pub siblings: Vec<Digest>,
}

impl From<&WithdrawalProof> for v1::GetWithdrawalProofResponse {
    fn from(proof: &WithdrawalProof) -> Self {
        let height = proof.history.commitment.height;
        Self {
            proof: Some((&proof.history).into()),
            withdrawal: Some((&PaidOut { withdrawal: proof.withdrawal, height }).into()),
            place: proof.place,
            siblings: bytes(&proof.siblings),
        }
    }
}

impl TryFrom<&v1::GetWithdrawalProofResponse> for WithdrawalProof {
    type Error = WireError;

    fn try_from(proof: &v1::GetWithdrawalProofResponse) -> Result<Self, WireError> {
        let history = proof.proof.as_ref().ok_or(WireError::Missing("proof"))?;
        let paid = proof.withdrawal.as_ref().ok_or(WireError::Missing("withdrawal"))?;
        Ok(Self {
            history: history.try_into()?,
            withdrawal: PaidOut::try_from(paid)?.withdrawal,
            place: proof.place,
            siblings: digests(&proof.siblings, "siblings")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        block::L1Origin,
        commitment::EpochEnd,
        height::Epoch,
        ids::{BlockId, IdError},
    };

    fn proof(payee: Payee, epoch_end: Option<EpochEnd>) -> WithdrawalProof {
        let commitment = BlockCommitment {
            epoch: Epoch::new(3),
            height: Height::new(40),
            block: BlockId::new([1; 32]),
            history_root: Digest::new([2; 32]),
            reveal_root: Digest::ZERO,
            rollup_count: 0,
            l1_origin: L1Origin { number: 9, hash: Digest::new([3; 32]) },
            forced_cursor: 5,
            withdrawals_root: Digest::new([4; 32]),
            epoch_end,
        };
        let path = vec![Digest::new([5; 32]), Digest::ZERO];
        WithdrawalProof {
            history: HistoryProof { commitment, under: Height::new(41), path: path.clone() },
            withdrawal: Withdrawal { index: 8, payee, amount: Gwei::new(77) },
            place: 1,
            siblings: path,
        }
    }

    #[test]
    fn a_proof_comes_back_as_it_went_whoever_is_paid() {
        let end = EpochEnd { next_committee: Digest::new([6; 32]), dkg_result: Digest::ZERO };
        let account = Payee::Account(PayerAddress::new([7; 20]));
        for payee in [account, Payee::Stake(4), Payee::Pot] {
            for end in [None, Some(end)] {
                let proof = proof(payee, end);
                let message = v1::GetWithdrawalProofResponse::from(&proof);
                assert_eq!(WithdrawalProof::try_from(&message), Ok(proof));
            }
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        let good = v1::GetWithdrawalProofResponse::from(&proof(Payee::Pot, None));
        type Break = fn(&mut v1::GetWithdrawalProofResponse);
        let length = |field, expected, found| WireError::Id {
            field,
            source: IdError::Length { expected, found },
        };
        let breaks: [(Break, WireError); 6] = [
            (|proof| proof.proof = None, WireError::Missing("proof")),
            (|proof| proof.withdrawal = None, WireError::Missing("withdrawal")),
            (|proof| proof.siblings[0].push(0), length("siblings", 32, 33)),
            (
                |proof| proof.proof.as_mut().unwrap().commitment = None,
                WireError::Missing("commitment"),
            ),
            (
                |proof| proof.withdrawal.as_mut().unwrap().recipient = vec![1],
                length("recipient", 20, 1),
            ),
            (
                |proof| {
                    let paid = proof.withdrawal.as_mut().unwrap();
                    (paid.recipient, paid.validator) = (vec![1; 20], 2);
                },
                WireError::Exclusive { one: "recipient", other: "validator" },
            ),
        ];
        for (change, expected) in breaks {
            let mut message = good.clone();
            change(&mut message);
            assert_eq!(WithdrawalProof::try_from(&message), Err(expected));
        }
    }
}
