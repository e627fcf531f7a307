// The workloads of the story: two processes without a secret, that call each other by SPIFFE ID, and others that must not.
import { join } from 'node:path';
import { run } from './child.mjs';
import { root } from './program.mjs';

const greeter = (file) => join(root, 'examples', 'greeter', file);
const IDENTITY = /^(?:identity|renewed) (\S+) serial (\S+) until (\S+)$/;
const GREETINGS = /^greetings (\d+) failed (\d+) server-serial (\S+)$/;

export async function startWorkloads(domain) {
  const serverId = domain.spiffeId('greeter-server');
  const clientId = domain.spiffeId('greeter-client');
  return domain.narrator.step('Running the workloads: separate processes that hold no secret', async () => {
    const server = startWorkload(domain, 'greeter-server', [
      greeter('server.mjs'),
      '--client',
      clientId,
      '--port',
      '0',
    ]);
    await expectIdentity(domain, server, serverId);
    const [, url] = await domain.waitFor(
      'the greeter to listen',
      () => server.matches(/^listening on (\S+)$/)[0],
    );
    const client = startWorkload(domain, 'greeter-client', [
      greeter('client.mjs'),
      '--server',
      serverId,
      '--url',
      url,
    ]);
    await expectIdentity(domain, client, clientId);
    await domain.waitFor('the first greetings', () => latestGreetings(client).answered > 0);
    const greeting = await callOnce(domain, 'greeter-client', { url, expecting: serverId });
    if (greeting.text.includes(`hello ${clientId}, I am ${serverId}`))
      domain.narrator.ok(`mutual TLS: "${greeting.text.split('\n').at(-1)}"`);
    else throw new Error(`the greeting is not the expected one: ${greeting.text}`);
    return { server, client, url };
  });
}

/** Authentication that lets everybody in would look the same so far. */
export async function tryWhatMustFail(domain, { server, url }) {
  const serverId = domain.spiffeId('greeter-server');
  const clientId = domain.spiffeId('greeter-client');
  await domain.narrator.step('Trying what must fail', async () => {
    const options = domain.asWorkload('greeter-client');
    const args = [greeter('client.mjs'), '--server', serverId, '--url', url, '--once', '--wait', '1'];
    const stranger = await run(process.execPath, args, options);
    expectFailure(stranger, 'no identity', 'a process that is not registered');
    domain.narrator.ok('the same program under another path is not registered, and gets no identity');

    const somebody = 'spiffe://example.org/somebody-else';
    const wrongServer = await callOnce(domain, 'greeter-client', { url, expecting: somebody });
    expectFailure(
      wrongServer,
      `the peer is ${serverId}; expected ${somebody}`,
      'a client that means another server',
    );
    domain.narrator.ok('a client that means somebody else refuses the greeter');

    const wrongClient = await callOnce(domain, 'greeter-server', { url, expecting: serverId });
    expectFailure(wrongClient, 'refused', 'a client with an identity that is not served');
    await domain.waitFor('the greeter to tell of it', () =>
      server.lines.some((line) => line.includes(`the peer is ${serverId}; expected ${clientId}`)),
    );
    domain.narrator.ok('the greeter refuses a client with a valid identity that it does not serve');
  });
}

export async function rotate(domain, { server, client }) {
  await domain.narrator.step(
    'Waiting for both certificates to rotate under the running requests',
    async () => {
      const before = {
        server: serials(server),
        client: serials(client),
        answered: latestGreetings(client).answered,
      };
      for (const [name, child] of Object.entries({ server, client })) {
        await domain.waitFor(
          `the ${name}'s certificate to rotate`,
          () => serials(child).length > before[name].length,
          60_000,
        );
        domain.narrator.ok(
          `greeter-${name}: serial ${short(before[name].at(-1))} became ${short(serials(child).at(-1))}`,
        );
      }
      const { answered } = latestGreetings(client);
      await domain.waitFor('the client to see the new certificate', () => {
        const now = latestGreetings(client);
        return (
          now.answered > answered + 50 && serials(server).slice(before.server.length).includes(now.serial)
        );
      });
      const now = latestGreetings(client);
      if (now.failed !== 0) throw new Error(`${now.failed} of ${now.answered + now.failed} requests failed`);
      domain.narrator.ok(
        `${now.answered - before.answered} requests went on meanwhile, ${now.answered} in all; none failed`,
      );
    },
  );
}

function startWorkload(domain, name, args) {
  return domain.start(name, domain.binary(name), args, domain.asWorkload(name));
}

/** One call of the greeter, made by a new process with the identity of `name`. */
function callOnce(domain, name, { url, expecting }) {
  const args = [greeter('client.mjs'), '--server', expecting, '--url', url, '--once'];
  return run(domain.binary(name), args, domain.asWorkload(name));
}

async function expectIdentity(domain, child, id) {
  const [, spiffeId, serial, until] = await domain.waitFor(
    `the identity of ${child.name}`,
    () => child.matches(IDENTITY)[0],
  );
  if (spiffeId !== id) throw new Error(`${child.name} got the identity ${spiffeId}; expected ${id}`);
  domain.narrator.ok(
    `process ${child.pid} is ${spiffeId}, serial ${short(serial)}, until ${until.slice(11, 19)}`,
  );
}

function expectFailure(result, text, who) {
  if (result.isOk) throw new Error(`${who} was not refused: ${result.text}`);
  if (!result.text.includes(text))
    throw new Error(`${who} failed in another way than expected: ${result.text}`);
}

function serials(child) {
  return child.matches(IDENTITY).map(([, , serial]) => serial);
}

function latestGreetings(client) {
  const [, answered = '0', failed = '0', serial = ''] = client.matches(GREETINGS).at(-1) ?? [];
  return { answered: Number(answered), failed: Number(failed), serial };
}

function short(serial) {
  return `${serial.slice(0, 8)}…`;
}
