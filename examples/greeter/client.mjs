// A sample workload: calls the greeter again and again, over mutual TLS, and only if it has the SPIFFE ID that is meant.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node examples/greeter/client.mjs --server spiffe://example.org/greeter-server
import { X509Certificate } from 'node:crypto';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { authorizeId, createHttpsAgent, X509Source } from '@bonafide/sdk';

const { values } = parseArgs({
  options: {
    server: { type: 'string' },
    url: { type: 'string', default: 'https://127.0.0.1:8443/' },
    /** How long to wait for an identity. */
    wait: { type: 'string', default: '30' },
    once: { type: 'boolean', default: false },
  },
});
if (values.server === undefined) {
  console.error(
    'usage: client.mjs --server <SPIFFE ID of who is called> [--url https://127.0.0.1:8443/] [--once]',
  );
  process.exit(2);
}

const source = await X509Source.create({ timeoutMs: Number(values.wait) * 1000 }).catch((error) => {
  console.error(`no identity: ${error.message}`);
  process.exit(1);
});
const serialOf = (der) => new X509Certificate(der).serialNumber;
const describe = () =>
  `${source.svid.spiffeId} serial ${serialOf(source.svid.certificateChain[0])} until ${source.svid.notAfter.toISOString()}`;
console.log(`identity ${describe()}`);
source.on('update', () => console.log(`renewed ${describe()}`));
source.on('denied', (error) => console.log(`denied ${error.message}`));

// Each connection presents the newest certificate; a rotation disturbs no request.
const agent = createHttpsAgent(source, authorizeId(values.server));

/** One request: what was answered, and the serial number of the certificate that the server presented. */
async function greet() {
  const { response, serial } = await new Promise((resolve, reject) => {
    const request = https.get(values.url, { agent }, (response) => {
      const { raw } = response.socket.getPeerCertificate(); // here, for a finished response lets go of its socket
      resolve({ response, serial: serialOf(raw) });
    });
    request.on('error', reject);
  });
  let text = '';
  for await (const chunk of response) text += chunk;
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
  return { text: text.trim(), serial };
}

if (values.once) {
  try {
    console.log((await greet()).text);
  } catch (error) {
    console.error(`refused: ${error.message}`);
    process.exitCode = 1;
  }
} else {
  await greetUntilStopped();
}
agent.destroy();
await source.close();

async function greetUntilStopped() {
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  process.once('SIGINT', () => stop.abort());
  let answered = 0;
  let failed = 0;
  let serial;
  const report = setInterval(
    () => console.log(`greetings ${answered} failed ${failed} server-serial ${serial}`),
    500,
  );
  const caller = async () => {
    while (!stop.signal.aborted) {
      try {
        ({ serial } = await greet());
        answered += 1;
      } catch (error) {
        failed += 1;
        console.log(`failed: ${error.message}`);
      }
      await sleep(10, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  };
  await Promise.all([caller(), caller(), caller(), caller()]);
  clearInterval(report);
}
