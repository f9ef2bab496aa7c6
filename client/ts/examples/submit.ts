import { ConclaveClient, Payer, privateKeySigner, reaches, type Hex } from '@conclave/client';
import { grpc } from '@conclave/client/node';

const { ENDPOINTS = '', NETWORK, PAYER_KEY, TRANSACTION } = process.env;
const client = await ConclaveClient.connect({
  endpoints: ENDPOINTS.split(','), // such as http://127.0.0.1:26601
  network: NETWORK as Hex, // the id that you know; 'trust-first' believes the first node
  transport: grpc, // in a browser, leave this line out
});

const payer = new Payer(client, privateKeySigner(PAYER_KEY as Hex));
const legs = [{ rollup: 901, transaction: TRANSACTION as Hex }];

// Sealed, signed, admitted, the receipt verified; and again, should its era end before a block takes it.
const options = { signal: AbortSignal.timeout(30_000) };
for await (const { bundle, status } of payer.send(legs, {}, options)) {
  console.log(status.level, status.ordered ? `at height ${status.ordered.height}` : '');
  if (reaches(status.level, 'revealed')) {
    const { block, opened } = await client.verify(bundle, status); // against the chain
    console.log(`place ${opened?.position}, decided by validators ${block.signers.join(', ')}`);
  }
}
