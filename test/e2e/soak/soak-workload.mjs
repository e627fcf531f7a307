// A workload of the rotation soak: serves its peers and calls them, over mutual TLS and with a JWT-SVID for each, and counts what fails.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node soak-workload.mjs <trust domain> <milliseconds between calls>
//
// Standard input: a line of JSON, `[{"id": "spiffe://…", "port": 1}]`, starts the calls; the line `stop` ends them. Standard output: one JSON object a line.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  authorizeId,
  authorizeMemberOf,
  createHttpsServer,
  JwtSource,
  peerSpiffeId,
  tlsClientOptions,
  X509Source,
} from '@bonafide/sdk';

const REPORT_MS = 500;
const CALL_LIMIT_MS = 30_000;

const [trustDomain, pauseMs] = process.argv.slice(2);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const x509 = await X509Source.create({ timeoutMs: 150_000 });
const jwt = await JwtSource.create({ timeoutMs: 150_000 });
const { spiffeId } = x509.svid;

function sayIdentity() {
  const [leaf] = x509.svid.certificateChain;
  const { issuer, serialNumber } = new X509Certificate(leaf);
  say({ event: 'identity', spiffeId, issuer, serialNumber }); // each of our authorities has a name of its own
}
sayIdentity();
x509.on('update', sayIdentity);

/** Who the token names must be who the certificate names. */
async function answer(request, response) {
  const caller = peerSpiffeId(request.socket);
  try {
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    const verified = await jwt.verify(token, spiffeId);
    if (verified.spiffeId !== caller) throw new Error(`the token is ${verified.spiffeId}'s`);
    response.end(JSON.stringify({ caller, keyId: verified.keyId }));
  } catch (error) {
    response.writeHead(401).end(error.message);
  }
}

const server = createHttpsServer(x509, authorizeMemberOf(trustDomain), (request, response) => {
  void answer(request, response);
});
server.listen(0, '127.0.0.1', () => say({ event: 'listening', port: server.address().port }));

let answered = 0;
let failed = 0;
let isStopped = false;
/** Of the authorities that signed the tokens which were accepted. */
const keyIds = new Set();

/** On a connection of its own, which shows what the certificates of this moment are worth. */
async function call({ id, port }) {
  const { token } = await jwt.fetch(id);
  const request = https.get({
    host: '127.0.0.1',
    port,
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(CALL_LIMIT_MS),
    ...tlsClientOptions(x509, authorizeId(id)),
  });
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}: ${text}`);
  const { caller, keyId } = JSON.parse(text);
  if (caller !== spiffeId) throw new Error(`was taken for ${caller}`);
  keyIds.add(keyId);
}

async function run(peers) {
  const report = () => say({ event: 'count', answered, failed, keyIds: [...keyIds] });
  const reporting = setInterval(report, REPORT_MS);
  for (let turn = Math.floor(Math.random() * peers.length); !isStopped; turn += 1) {
    const peer = peers[turn % peers.length];
    try {
      await call(peer);
      answered += 1;
    } catch (error) {
      failed += 1;
      say({
        event: 'failed',
        peer: peer.id,
        message: `${error.code ?? ''} ${error.message}`,
        at: new Date(),
      });
    }
    await sleep(Number(pauseMs));
  }
  clearInterval(reporting);
  report();
  say({ event: 'stopped' });
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (line === 'stop') isStopped = true;
    else void run(JSON.parse(line));
  })
  .on('close', () => process.exit());
