import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  authorizeId,
  createTlsServer,
  JwtSource,
  parseSpiffeId,
  tlsClientOptions,
  X509Source,
} from '@bonafide/sdk';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { buildGoProgram, missingForGo } from './go-program.js';

const missing = missingForGo();

const GO = 'spiffe://example.org/go';
const TYPESCRIPT = 'spiffe://example.org/typescript';

interface Update {
  readonly spiffeId: string;
  readonly serialNumber: string;
  readonly authorities: number;
  readonly trustDomains: readonly string[];
}

describe.skipIf(missing !== undefined)(`go-spiffe (needs ${missing ?? 'nothing more'})`, () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;
  let program: string;
  let environment: Record<string, string>;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    program = buildGoProgram(directory);
    server = await launchServer({ directory: directory.path });
    agent = await launchAgent({ server, directory: directory.path });
    environment = { SPIFFE_ENDPOINT_SOCKET: agent.address };
    await register(GO, program);
    await register(TYPESCRIPT, process.execPath);
  });

  afterAll(async () => {
    await agent.stop();
    await server.stop();
    directory.remove();
  });

  async function register(spiffeId: string, path: string): Promise<void> {
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', spiffeId],
      ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`, '--selector', `unix:path:${path}`],
      ...['--x509-svid-ttl', '8', '--hint', 'internal'],
    );
  }

  function goWorkload(...args: readonly string[]): Promise<string[]> {
    return runProcess(program, args, { env: environment, limitMs: 150_000 }).then(
      ({ code, stdout, stderr }) => {
        expect(stderr).toBe('');
        expect(code).toBe(0);
        return stdout.trimEnd().split('\n');
      },
    );
  }

  it('fetches its SVID and bundle', async () => {
    const [line = ''] = await goWorkload('fetch');
    expect(JSON.parse(line)).toMatchObject({ spiffeId: GO, authorities: 1, trustDomains: ['example.org'] });
  });

  it('watches its SVID rotate', async () => {
    const lines = await goWorkload('watch', '3');
    const updates = lines.map((line) => JSON.parse(line) as Update);
    expect(updates.map(({ spiffeId }) => spiffeId)).toEqual([GO, GO, GO]);
    expect(new Set(updates.map(({ serialNumber }) => serialNumber)).size).toBe(3);
  });

  it('has an X509Source, a JWTSource and a BundleSource, which agree with each other and follow a rotation', async () => {
    const [line = ''] = await goWorkload('sources', 'reports');
    expect(JSON.parse(line)).toEqual({
      spiffeId: GO,
      jwtSpiffeId: GO,
      x509Authorities: 1,
      jwtAuthorities: 1,
      hasRotated: true,
    });
  });

  it('fetches a JWT-SVID and its bundles, and finds it valid by them, as the agent and the SDK do', async () => {
    const [line = ''] = await goWorkload('jwt', 'spiffe://example.org/reports');
    const answer = JSON.parse(line) as { token: string };
    expect(answer).toMatchObject({
      spiffeId: GO,
      hint: 'internal',
      audience: ['spiffe://example.org/reports'],
      byBundles: GO,
      byAgent: GO,
      trustDomains: ['example.org'],
      keys: 1,
    });
    await using mine = await JwtSource.create({ address: agent.address, timeoutMs: 10_000 });
    const verified = await mine.verify(answer.token, 'spiffe://example.org/reports');
    expect(verified.spiffeId).toBe(GO);
  });

  it('has a JWT-SVID of the SDK validated by the agent, and refused with another audience or signature', async () => {
    await using mine = await JwtSource.create({ address: agent.address, timeoutMs: 10_000 });
    const { token, expiresAt } = await mine.fetch('reports');
    const [line = ''] = await goWorkload('validate', token, 'reports');
    expect(JSON.parse(line)).toEqual({
      spiffeId: TYPESCRIPT,
      audience: ['reports'],
      expiry: expiresAt.getTime() / 1000,
    });
    const [header, payload, signature = ''] = token.split('.');
    const changed = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    for (const [text, audience] of [
      [token, 'bank'],
      [changed, 'reports'],
    ] as const) {
      const refused = await runProcess(program, ['validate', text, audience], { env: environment });
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('InvalidArgument');
    }
  });

  it('is called by the SDK over mutual TLS, and refuses whom it does not expect', async () => {
    await using mine = await X509Source.create({ address: agent.address, timeoutMs: 10_000 });
    for (const [expected, answer] of [
      [TYPESCRIPT, 'echo hello'],
      ['spiffe://example.org/somebody-else', undefined],
    ] as const) {
      const child = spawn(program, ['serve', expected], { env: { ...process.env, ...environment } });
      try {
        const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
        const { port } = JSON.parse(line) as { port: number };
        expect(await ask(port, mine)).toBe(answer);
      } finally {
        child.kill();
        await once(child, 'exit');
      }
    }
  });

  it('calls the SDK over mutual TLS, a hundred times while both rotate', async () => {
    await using mine = await X509Source.create({ address: agent.address, timeoutMs: 10_000 });
    const echo = createTlsServer(mine, authorizeId(GO), (socket) => {
      socket.once('data', (data: Buffer) => socket.end(`echo ${data.toString()}`));
      socket.on('error', () => undefined); // the caller hangs up when it has its answer
    });
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const address = echo.address();
    if (address === null || typeof address === 'string') throw new Error('not listening on a port');
    try {
      const lines = await goWorkload('call', `127.0.0.1:${address.port}`, TYPESCRIPT, '100');
      expect(lines).toHaveLength(100);
      expect(JSON.parse(lines[99] ?? '')).toEqual({ answer: 'echo hello 99' });
      const refused = await runProcess(
        program,
        ['call', `127.0.0.1:${address.port}`, 'spiffe://example.org/somebody-else', '1'],
        { env: environment },
      );
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('unexpected ID');
    } finally {
      echo.close();
    }
  });
});

/** One line to the Go program; undefined when it hangs up without an answer. */
async function ask(port: number, mine: X509Source): Promise<string | undefined> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    ...tlsClientOptions(mine, authorizeId(parseSpiffeId(GO))),
  });
  let text = '';
  let isClosed = false;
  socket.on('data', (data: Buffer) => (text += data.toString()));
  socket.on('error', () => undefined); // how a refused client learns of it; the empty answer is what is asserted
  socket.once('close', () => (isClosed = true));
  socket.write('hello\n');
  await waitFor('the Go program to hang up', () => isClosed);
  return text === '' ? undefined : text.trimEnd();
}
