// A workload of the nesting test: serves one peer over mutual TLS and calls that peer all the time, each call with a JWT-SVID besides.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node nested-peer.mjs <SPIFFE ID of the peer>
//
// Standard input: a line with the peer's port starts the calls. Standard output: one JSON object a line.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { authorizeId, createHttpsServer, JwtSource, tlsClientOptions, X509Source } from '@bonafide/sdk';

const [peerId] = process.argv.slice(2);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const source = await X509Source.create({ timeoutMs: 150_000 });
const jwt = await JwtSource.create({ timeoutMs: 150_000 });
const ownId = source.svid.spiffeId;

const describe = () => {
  const chain = source.svid.certificateChain.map((der) => new X509Certificate(der));
  say({
    event: 'identity',
    spiffeId: ownId,
    chain: chain.map(({ serialNumber }) => serialNumber),
    root: chain.at(-1).issuer, // each of our authorities has a serial number in its name
  });
};
describe();
source.on('update', describe);
source.on('denied', ({ message }) => say({ event: 'problem', message: `denied: ${message}` }));

const server = createHttpsServer(source, authorizeId(peerId), async (request, response) => {
  try {
    const { spiffeId } = await jwt.verify(request.headers.authorization.replace('Bearer ', ''), ownId);
    response.end(`hello ${spiffeId}`);
  } catch (error) {
    say({ event: 'problem', message: `the token of ${peerId}: ${error.message}` });
    response.writeHead(401).end();
  }
});
server.listen(0, '127.0.0.1', () => say({ event: 'listening', port: server.address().port }));

async function call(port) {
  const { token, keyId } = await jwt.fetch(peerId);
  const request = https.get({
    host: '127.0.0.1',
    port,
    agent: false,
    headers: { authorization: `Bearer ${token}` },
    ...tlsClientOptions(source, authorizeId(peerId)),
  });
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  if (text !== `hello ${ownId}`) throw new Error(`answered ${response.statusCode} ${text}`);
  say({ event: 'answered', keyId });
}

for await (const line of createInterface({ input: process.stdin })) {
  void (async () => {
    for (;;) {
      try {
        await call(Number(line));
      } catch (error) {
        say({ event: 'problem', message: `${error.code ?? ''} ${error.message}` });
      }
      await sleep(50);
    }
  })();
}
process.exit();
