/** What a signing thread runs: keeps the keys that it was lent, and signs the batches that it is given, one after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { X509SvidWriter } from '../write-x509-svid.js';
import type { WrittenX509Svid } from '../x509-svid-request.js';
import { unpackRequests } from './packed-requests.js';
import { packSvids } from './packed-svids.js';
import type { FromThread, Refusal, ThreadData, ToThread } from './thread-messages.js';

const port = parentPort;
if (port === null) throw new Error('this file is run as a worker thread');
const { trustDomain } = workerData as ThreadData;
const writers = new Map<number, X509SvidWriter>();

port.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'authority':
      adopt(message);
      return;
    case 'retire':
      writers.delete(message.number);
      return;
    case 'batch':
      void signBatch(message).then(answer);
      return;
  }
});
answer({ kind: 'ready' });

function adopt({ number, key, certificate, notAfter }: Extract<ToThread, { kind: 'authority' }>): void {
  try {
    // Nothing else is done on this thread, so waiting for the thread pool would gain nothing.
    const signer = createKeySigner(key, 'this_thread');
    const authority = { certificate: Buffer.from(certificate), signer, notAfter };
    writers.set(number, new X509SvidWriter({ trustDomain, authority, place: 'this_thread' }));
  } catch {
    // Its batches are answered as those of an unknown authority, and the main thread, which signs them then, says what is wrong.
    writers.delete(number);
  }
}

async function signBatch(message: Extract<ToThread, { kind: 'batch' }>): Promise<FromThread> {
  const { batch, authority, now, requests } = message;
  const writer = writers.get(authority);
  if (writer === undefined) return { kind: 'unknown_authority', batch };
  const svids: WrittenX509Svid[] = [];
  const refusals: Refusal[] = [];
  let index = 0;
  for (const request of unpackRequests(requests)) {
    try {
      svids.push(await writer.write(request, now));
    } catch (error) {
      const reason = error instanceof BonafideError ? error.reason : undefined;
      refusals.push({ index, reason, message: errorMessage(error) });
    }
    index += 1;
  }
  return { kind: 'batch', batch, svids: packSvids(svids), refusals };
}

function answer(message: FromThread): void {
  port?.postMessage(message, message.kind === 'batch' ? [message.svids.buffer as ArrayBuffer] : []);
}
