/**
 * Seals, submits and watches bundles of a Conclave network.
 *
 * @packageDocumentation
 */

export { type DecidedBlock } from './block.js';
export { SealedBundle } from './bundle.js';
export { type Hex } from './bytes.js';
export {
  ConclaveClient,
  type Account,
  type Admission,
  type ClientOptions,
  type ClientTerms,
  type EncryptionKey,
} from './client.js';
export { type CallOptions, type Retry } from './endpoints.js';
export {
  ConclaveError,
  EncodingError,
  InputError,
  KeyError,
  NetworkError,
  RefusedError,
  SignerError,
  UnavailableError,
  VerificationError,
  type ErrorCode,
  type RefusalReason,
} from './errors.js';
export { type EncodedKey, type Genesis, type Member, type Rollup } from './genesis.js';
export { type BundleHeader } from './header.js';
export { SealingKey, SUITE } from './key.js';
export { SIZE_BUCKETS, type Leg, type LegInput, type UndecryptableReason } from './legs.js';
export { Network } from './network.js';
export { Payer, type Lanes, type PayerTerms, type Sent, type Submission } from './payer.js';
export { type Receipt } from './receipt.js';
export { type Opened } from './reveal.js';
export { seal, type Nonce, type SealTerms } from './seal.js';
export {
  eip1193Signer,
  ethersSigner,
  privateKeySigner,
  type Eip1193Provider,
  type EthersSigner,
  type PayerSigner,
} from './signer.js';
export { LEVELS, reaches, type BundleStatus, type Level } from './status.js';
export { grpcWeb, type TransportFactory } from './transport.js';
export { type BundleMessage, type BundleTypedData } from './typed-data.js';
export { type WatchOptions } from './watch.js';
