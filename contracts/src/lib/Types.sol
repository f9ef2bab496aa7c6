// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// Names a validator for as long as its registration lasts; numbers are given from 1 and never reused.
type ValidatorId is uint32;

using { same as == } for ValidatorId global;

function same(ValidatorId left, ValidatorId right) pure returns (bool) {
    return ValidatorId.unwrap(left) == ValidatorId.unwrap(right);
}

/// What separates the signatures of one network from those of every other: `SigningDomain` in
/// `types/src/digest.rs`. `l1Contract` is the address that the genesis names: ConclaveStake's, the anchor
/// of the deployment.
struct SigningDomain {
    bytes32 network;
    uint64 l1ChainId;
    address l1Contract;
}

/// A point of BLS12-381 G1 as EIP-2537 encodes it: each coordinate is 48 bytes behind 16 zero bytes.
struct G1Point {
    uint256 xHigh;
    uint256 xLow;
    uint256 yHigh;
    uint256 yLow;
}

/// Where an epoch's committee stands: one storage slot. See {CommitteeTable}.
struct Committee {
    address table;
    uint16 count;
    uint64 totalPower;
}

/// One row of a committee table.
struct Member {
    /// Signs proposals, votes and share messages (ed25519, compressed).
    bytes32 consensusKey;
    /// Signs commitments (BLS12-381 G1; proof of possession was checked at registration).
    G1Point settlementKey;
    /// Voting power, at least 1.
    uint64 power;
    /// Who it is.
    ValidatorId validator;
}

/// What a quorum signs about a decided block; {SignBytes-commitment} has the layout.
struct BlockCommitment {
    uint64 epoch;
    uint64 height;
    bytes32 blockId;
    /// Root over the commitments of heights 1 to height − 1 ({Mmr}); zero at height 1.
    bytes32 historyRoot;
    /// {NamespaceTree} over the rollups with a batch in this block; zero if there is none.
    bytes32 revealRoot;
    uint32 rollupCount;
    uint64 originNumber;
    bytes32 originHash;
    /// Entries of the forced queue up to the origin.
    uint64 forcedCursor;
    bytes32 withdrawalsRoot;
    /// {CommitteeTable} hash of the next epoch's committee, in the last commitment of an epoch; else zero.
    bytes32 nextCommittee;
    /// {DkgResult} root of the next epoch's sharing, in the last commitment of an epoch; else zero.
    bytes32 dkgResult;
}
