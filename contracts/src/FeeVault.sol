// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Address } from "@openzeppelin/contracts/utils/Address.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { BitMaps } from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import { SafeCastLib } from "solady/utils/SafeCastLib.sol";

import { Timelocked } from "./Timelocked.sol";
import { HistoryProof, IConclaveInbox } from "./interfaces/IConclaveInbox.sol";
import { IConclaveStake } from "./interfaces/IConclaveStake.sol";
import { IFeeVault, VaultParameters, Withdrawal } from "./interfaces/IFeeVault.sol";
import { IForcedInclusion } from "./interfaces/IForcedInclusion.sol";
import { Merkle } from "./lib/Merkle.sol";
import { ValidatorId } from "./lib/Types.sol";

/// Deposits and the pot, each accounted for by itself: neither ever pays for the other.
contract FeeVault is IFeeVault, Timelocked, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;

    uint64 private constant DEPOSIT_GWEI_MAX = 1 ether / 1 gwei;
    /// A commitment by a hundred members, a third of them absent, with a margin.
    uint32 private constant REFUND_GAS_MAX = 400_000;
    uint64 private constant REFUND_PRICE_WEI_MAX = 1000 gwei;

    IConclaveInbox public immutable INBOX;
    IForcedInclusion public immutable FORCED;
    IConclaveStake public immutable STAKE;

    /// All that a refund needs beside the relayer's credit, in one slot.
    struct Pot {
        uint96 balanceWei;
        uint40 refundedHeight;
        uint32 refundGas;
        uint64 priceMaxWei;
        uint24 intervalHeights;
    }

    uint64 private depositMinGwei;
    Pot private pot;
    uint64 private depositedGwei;
    mapping(address relayer => uint256) private refunds;
    BitMaps.BitMap private withdrawn;

    constructor(
        address timelock,
        IConclaveInbox inbox,
        IForcedInclusion forced,
        IConclaveStake stake,
        VaultParameters memory parameters
    ) Timelocked(timelock) {
        INBOX = inbox;
        FORCED = forced;
        STAKE = stake;
        setWithinBounds(parameters);
    }

    /// @inheritdoc IFeeVault
    function deposit(address payer) external payable returns (uint64 entry) {
        if (payer == address(0)) revert NoPayer();
        if (msg.value % 1 gwei != 0) revert NotWholeGwei(msg.value);
        // All ether there is, in gwei, has 57 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 amount = uint64(msg.value / 1 gwei);
        if (amount < depositMinGwei) revert DepositTooSmall(depositMinGwei, amount);
        depositedGwei += amount;
        entry = FORCED.enqueueDeposit(payer, amount);
        emit Deposited(payer, amount, entry);
    }

    /// @inheritdoc IFeeVault
    function withdraw(
        Withdrawal calldata w,
        HistoryProof calldata proof,
        uint256 place,
        bytes32[] calldata siblings
    ) external nonReentrant {
        bool isReward = ValidatorId.unwrap(w.validator) != 0;
        if (isReward && w.recipient != address(0)) revert BadRecipient(w.recipient, w.validator);
        if (withdrawn.get(w.index)) revert AlreadyWithdrawn(w.index);
        INBOX.proveCommitment(proof);
        if (!Merkle.verify(proof.commitment.withdrawalsRoot, leafOf(w), place, siblings)) {
            revert NotInRoot(w.index);
        }
        if (w.amountGwei > depositedGwei) revert MoreThanDeposited(depositedGwei, w.amountGwei);
        withdrawn.set(w.index);
        depositedGwei -= w.amountGwei;
        emit Withdrawn(w.index, w.recipient, w.validator, w.amountGwei);

        uint256 value = uint256(w.amountGwei) * 1 gwei;
        if (isReward) STAKE.reward{ value: value }(w.validator);
        else if (w.recipient == address(0) || w.recipient == address(this)) addToPot(value);
        else Address.sendValue(payable(w.recipient), value);
    }

    /// @inheritdoc IFeeVault
    function fund() external payable {
        addToPot(msg.value);
    }

    /// @inheritdoc IFeeVault
    function refund(address relayer, uint64 height) external {
        if (msg.sender != address(INBOX)) revert NotInbox(msg.sender);
        Pot memory held = pot;
        // Who posts every height pays for it: the network asks for one in so many.
        if (height < uint256(held.refundedHeight) + held.intervalHeights) return;
        uint256 priceWei = block.basefee < held.priceMaxWei ? block.basefee : held.priceMaxWei;
        uint256 amount = priceWei * held.refundGas;
        if (amount > held.balanceWei) amount = held.balanceWei;
        held.refundedHeight = SafeCastLib.toUint40(height);
        // At most what the pot holds.
        // forge-lint: disable-next-line(unsafe-typecast)
        held.balanceWei -= uint96(amount);
        pot = held;
        if (amount > 0) refunds[relayer] += amount;
    }

    /// @inheritdoc IFeeVault
    function claimRefunds() external nonReentrant returns (uint256 amount) {
        amount = refunds[msg.sender];
        if (amount == 0) revert NothingToClaim(msg.sender);
        delete refunds[msg.sender];
        emit RefundClaimed(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc IFeeVault
    function setParameters(VaultParameters calldata parameters) external onlyTimelock {
        setWithinBounds(parameters);
    }

    /// @inheritdoc IFeeVault
    function balances() external view returns (uint64, uint256) {
        return (depositedGwei, pot.balanceWei);
    }

    /// @inheritdoc IFeeVault
    function isWithdrawn(uint64 index) external view returns (bool) {
        return withdrawn.get(index);
    }

    /// @inheritdoc IFeeVault
    function refundsOf(address relayer) external view returns (uint256) {
        return refunds[relayer];
    }

    /// What the timelock has set.
    function vaultParameters() external view returns (VaultParameters memory) {
        Pot memory held = pot;
        return VaultParameters({
            depositMinGwei: depositMinGwei,
            refundGas: held.refundGas,
            refundPriceMaxWei: held.priceMaxWei,
            refundIntervalHeights: held.intervalHeights
        });
    }

    function leafOf(Withdrawal calldata w) private pure returns (bytes32) {
        return Merkle.leaf(
            abi.encodePacked(
                "conclave/withdrawal/v1", w.index, w.recipient, ValidatorId.unwrap(w.validator), w.amountGwei
            )
        );
    }

    function addToPot(uint256 value) private {
        // All ether there is, in wei, has 87 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        pot.balanceWei += uint96(value);
        emit Funded(msg.sender, value);
    }

    function setWithinBounds(VaultParameters memory p) private {
        if (p.depositMinGwei == 0 || p.depositMinGwei > DEPOSIT_GWEI_MAX) {
            revert ParameterOutOfRange("depositMinGwei", p.depositMinGwei);
        }
        if (p.refundGas > REFUND_GAS_MAX) revert ParameterOutOfRange("refundGas", p.refundGas);
        if (p.refundPriceMaxWei > REFUND_PRICE_WEI_MAX) {
            revert ParameterOutOfRange("refundPriceMaxWei", p.refundPriceMaxWei);
        }
        if (p.refundIntervalHeights == 0) revert ParameterOutOfRange("refundIntervalHeights", 0);
        depositMinGwei = p.depositMinGwei;
        (pot.refundGas, pot.priceMaxWei) = (p.refundGas, p.refundPriceMaxWei);
        pot.intervalHeights = p.refundIntervalHeights;
        emit ParametersSet(p);
    }
}
