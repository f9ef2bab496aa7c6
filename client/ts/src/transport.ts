/** gRPC-Web over `fetch`: what browsers can speak, and Node too. */

import type { Transport } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';

import { cut } from './bytes.js';
import { InputError } from './errors.js';

/** Makes a transport to the node at a URL. */
export type TransportFactory = (url: string) => Transport;

/** gRPC-Web. The node must list the page's origin in `grpc.web_origins`. */
export const grpcWeb: TransportFactory = (url) =>
  createGrpcWebTransport({ baseUrl: readUrl(url), useBinaryFormat: true });

/** A node's URL, without a slash at the end. Throws {@link InputError}. */
export function readUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !['http:', 'https:'].includes(parsed.protocol)) {
    throw new InputError(
      'endpoints',
      `expected a URL like http://127.0.0.1:26601, found ${cut(url)}`,
    );
  }
  return parsed.href.replace(/\/$/, '');
}
