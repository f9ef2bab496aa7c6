/**
 * Everything that this package throws, sorted by who can do something about it. An `AbortSignal` that
 * fires ends a call with the signal's own reason, as everywhere in JavaScript.
 */

/** What went wrong, for `switch`. */
export type ErrorCode =
  'input' | 'signer' | 'encoding' | 'network' | 'key' | 'verification' | 'refused' | 'unavailable';

/** The base of all errors of this package. */
export abstract class ConclaveError extends Error {
  /** What went wrong. */
  abstract readonly code: ErrorCode;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** What the caller gave cannot work; nothing was sent. */
export class InputError extends ConclaveError {
  readonly code = 'input';
  /** The argument at fault. */
  readonly field: string;

  constructor(field: string, problem: string, options?: ErrorOptions) {
    super(`${field}: ${problem}`, options);
    this.field = field;
  }
}

/** The wallet refused, or signed something else or with another key. */
export class SignerError extends ConclaveError {
  readonly code = 'signer';
}

/** Bytes that are not what they should be: a bundle, a proof, an answer. */
export class EncodingError extends ConclaveError {
  readonly code = 'encoding';
}

/** The genesis is malformed, or of another network. */
export class NetworkError extends ConclaveError {
  readonly code = 'network';
}

/** The encryption key is malformed, inconsistent, or of another network. Nothing may be sealed to it. */
export class KeyError extends ConclaveError {
  readonly code = 'key';
}

/** What a node says does not hold: a receipt, a certificate, an opening. */
export class VerificationError extends ConclaveError {
  readonly code = 'verification';
}

/** Why a node refused, and with it what to do. */
export type RefusalReason =
  /** These bytes can never be admitted: seal again. */
  | 'never'
  /** Not now: nonce, balance, replacement. Fix it and submit the same bytes again. */
  | 'not-now'
  /** It was included before: ask for its status. */
  | 'included'
  /** The node does not have it, or not any more. */
  | 'not-found'
  /** This network or node cannot do that. */
  | 'unsupported';

/** A node understood and refused, and asking another one would not help. */
export class RefusedError extends ConclaveError {
  readonly code = 'refused';
  /** Why. */
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** No endpoint answered, or all were full. A submission may have been admitted all the same. */
export class UnavailableError extends ConclaveError {
  readonly code = 'unavailable';
  /** What each attempt ended with, the last one at the end. */
  readonly attempts: readonly unknown[];

  constructor(message: string, attempts: readonly unknown[]) {
    super(message, { cause: attempts.at(-1) });
    this.attempts = attempts;
  }
}
