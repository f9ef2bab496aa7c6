/**
 * gRPC over HTTP/2, which every node speaks without further configuration. For Node.js only: browsers
 * cannot.
 *
 * @packageDocumentation
 */

import { createGrpcTransport } from '@connectrpc/connect-node';

import { readUrl, type TransportFactory } from './transport.js';

/** gRPC over HTTP/2. */
export const grpc: TransportFactory = (url) => createGrpcTransport({ baseUrl: readUrl(url) });
