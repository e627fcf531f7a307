import { connect } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { findEnvoy, launchEnvoy, NEEDS_ENVOY, type Envoy, type EnvoyOptions } from './envoy-program.js';

const program = findEnvoy();

const SERVER = 'spiffe://example.org/server';
const CLIENT = 'spiffe://example.org/client';
const READY_LIMIT_MS = 60_000;
const STRANGER = 'spiffe://example.org/stranger';

describe.runIf(program !== undefined)(`Envoy ${NEEDS_ENVOY}`, () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    server = await launchServer({ directory: directory.path, readyLimitMs: READY_LIMIT_MS });
    agent = await launchAgent({ server, directory: directory.path, readyLimitMs: READY_LIMIT_MS });
    for (const spiffeId of [SERVER, CLIENT]) await register(spiffeId);
  });

  afterAll(async () => {
    await agent.stop();
    await server.stop();
    directory.remove();
  });

  async function register(spiffeId: string): Promise<void> {
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', spiffeId],
      ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`, '--selector', `unix:path:${program ?? ''}`],
      ...['--x509-svid-ttl', '20'],
    );
  }

  it('that starts before its entries are there is served by DeltaSecrets once they are', async () => {
    const [late, caller] = [`${SERVER}/late`, `${CLIENT}/late`];
    const envoy = await launchEnvoy({
      ...{ program: program ?? '', directory: directory.path, agentSocket: agent.socketPath },
      ...{ api: 'DELTA_GRPC', metadata: {}, server: late, client: caller, stranger: STRANGER },
    });
    try {
      expect(await ask(envoy.plainPort).catch(() => undefined)).not.toMatchObject({ status: 200 });
      for (const spiffeId of [late, caller]) await register(spiffeId);
      await waitFor('the first answer', async () => (await ask(envoy.plainPort)).status === 200, {
        explain: () => envoy.process.output,
      });
    } finally {
      await envoy.process.stop();
    }
  });

  describe.each<[string, Pick<EnvoyOptions, 'api' | 'metadata'>]>([
    ['StreamSecrets', { api: 'GRPC', metadata: {} }],
    ['DeltaSecrets', { api: 'DELTA_GRPC', metadata: {} }],
    ['StreamSecrets, plain authorities', { api: 'GRPC', metadata: { disable_spiffe_cert_validation: true } }],
  ])('by %s', (_name, options) => {
    let envoy: Envoy;

    beforeAll(async () => {
      envoy = await launchEnvoy({
        ...options,
        program: program ?? '',
        directory: directory.path,
        agentSocket: agent.socketPath,
        server: SERVER,
        client: CLIENT,
        stranger: STRANGER,
      });
    });

    afterAll(async () => {
      await envoy.process.stop();
    });

    it('calls itself over mutual TLS, and not who has another SPIFFE ID than is expected', async () => {
      await waitFor('the first answer', async () => (await ask(envoy.plainPort)).status === 200, {
        explain: () => envoy.process.output,
      });
      expect((await ask(envoy.strangerPort)).status).toBe(503);
      expect((await ask(envoy.plainPort)).text).toBe('hello');
    });

    it('follows a rotation without a request that fails', async () => {
      const serials = new Set<string>();
      let requests = 0;
      await waitFor(
        'a rotation',
        async () => {
          const { status, text } = await ask(envoy.plainPort);
          expect({ status, text }).toEqual({ status: 200, text: 'hello' });
          requests += 1;
          serials.add(await serialNumberAt(envoy.tlsPort));
          return serials.size >= 2 && requests > 20;
        },
        { limitMs: 150_000, explain: () => envoy.process.output, stopOn: Error },
      );
    });
  });
});

async function ask(port: number): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  return { status: response.status, text: await response.text() };
}

/** Of the certificate that whoever listens there shows; a caller without one gets no further. */
async function serialNumberAt(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}
