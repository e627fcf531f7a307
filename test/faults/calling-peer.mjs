// A workload of the fault tests: serves one peer over mutual TLS and calls that peer all the time, counting what is answered.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node calling-peer.mjs <SPIFFE ID of the peer>
//
// Standard input: a line with the peer's port starts the calls, the line `stop` ends them. Standard output: one JSON object a line.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  authorizeId,
  createHttpsAgent,
  createHttpsServer,
  peerSpiffeId,
  tlsClientOptions,
  X509Source,
} from '@bonafide/sdk';

const PAUSE_MS = 40;
const REPORT_MS = 100;

const [peerId] = process.argv.slice(2);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const source = await X509Source.create({ timeoutMs: 150_000 });
const serialNumber = () => new X509Certificate(source.svid.certificateChain[0]).serialNumber;
say({ event: 'identity', spiffeId: source.svid.spiffeId, serialNumber: serialNumber() });
source.on('update', () =>
  say({ event: 'identity', spiffeId: source.svid.spiffeId, serialNumber: serialNumber() }),
);
source.on('denied', ({ message }) => say({ event: 'denied', message }));

const server = createHttpsServer(source, authorizeId(peerId), (request, response) => {
  response.end(`hello ${peerSpiffeId(request.socket)}`);
});
server.listen(0, '127.0.0.1', () => say({ event: 'listening', port: server.address().port }));

let answered = 0;
let failed = 0;
let isStopped = false;

async function call(options) {
  const request = https.get({ host: '127.0.0.1', ...options });
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  if (text !== `hello ${source.svid.spiffeId}`)
    throw new Error(`answered ${response.statusCode} ${JSON.stringify(text)}`);
}

/** A connection of its own for each request shows what the certificates of this moment are worth. */
async function callAgainAndAgain(port, options) {
  while (!isStopped) {
    try {
      await call({ port, ...options });
      answered += 1;
    } catch (error) {
      failed += 1;
      say({ event: 'failed', message: `${error.code ?? ''} ${error.message}`, at: new Date() });
    }
    await sleep(PAUSE_MS);
  }
}

async function run(port) {
  const report = setInterval(() => say({ event: 'count', answered, failed }), REPORT_MS);
  const agent = createHttpsAgent(source, authorizeId(peerId));
  await Promise.all([
    callAgainAndAgain(port, { agent }),
    callAgainAndAgain(port, tlsClientOptions(source, authorizeId(peerId))),
  ]);
  clearInterval(report);
  agent.destroy();
  say({ event: 'stopped', answered, failed });
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (line === 'stop') isStopped = true;
    else void run(Number(line));
  })
  .on('close', () => process.exit());
