import { lstat, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { launchServer } from '@bonafide/testing/launch-server';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { describe, expect, it } from 'vitest';
import { adminClient } from '../faults/admin-client.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const SVID = 'spire.api.server.svid.v1.SVID';
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const { definition } = loadService('SpiffeWorkloadAPI');
const UID = process.getuid?.() ?? 0;
const GID = process.getgid?.() ?? 0;
/** Bytes of a secret that must not be seen anywhere: far too many to come up by chance. */
const WINDOW_BYTES = 12;

interface FileMode {
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'other';
  readonly mode: string;
}

async function modesUnder(folder: string): Promise<FileMode[]> {
  const found: FileMode[] = [];
  for (const path of [
    folder,
    ...(await readdir(folder, { recursive: true })).map((name) => join(folder, name)),
  ]) {
    const stat = await lstat(path);
    const kind = stat.isDirectory() ? 'folder' : stat.isFile() ? 'file' : 'other';
    found.push({ path, kind, mode: (stat.mode & 0o777).toString(8) });
  }
  return found;
}

async function contentsUnder(folder: string): Promise<readonly Buffer[]> {
  const files = (await modesUnder(folder)).filter(({ kind }) => kind === 'file');
  return Promise.all(files.map(({ path }) => readFile(path)));
}

/** Every PKCS#8 key that the files hold in base64, as JSON and PEM do. */
function keysIn(contents: readonly Buffer[]): Buffer[] {
  return contents.flatMap((bytes) => {
    const runs = bytes.toString('latin1').match(/"(?:[A-Za-z0-9+/]{60,}={0,2})"/g) ?? [];
    return runs.map((run) => Buffer.from(run, 'base64')).filter(isPrivateKey);
  });
}

/** A SEQUENCE that begins with version 0, as PKCS#8 does, and is no certificate. */
function isPrivateKey(der: Buffer): boolean {
  const versionAt = der[1] === 0x82 ? 4 : der[1] === 0x81 ? 3 : 2;
  return der[0] === 0x30 && der.subarray(versionAt, versionAt + 3).equals(Buffer.from([2, 1, 0]));
}

/** Pieces of a secret in every form in which it could be written; enough of them that any leak of a stretch of it has one. */
function traces(secret: Buffer): string[] {
  const pieces: string[] = [];
  // The head of a PKCS#8 key says only of which kind it is; the secret part of a P-256 key begins at byte 36.
  for (let at = 36; at + WINDOW_BYTES <= Math.min(secret.length, 68); at += 1) {
    const window = secret.subarray(at, at + WINDOW_BYTES);
    pieces.push(window.toString('hex'), window.toString('base64').replace(/=+$/, ''));
    pieces.push(window.toString('base64url'), [...window].join(','));
  }
  return pieces;
}

function expectNoTrace(output: string, what: string, secrets: readonly string[]): void {
  expect(output.length).toBeGreaterThan(0);
  const text = output.toLowerCase();
  const leaked = secrets.filter((secret) => output.includes(secret) || text.includes(secret.toLowerCase()));
  expect([what, leaked]).toEqual([what, []]);
}

describe('secrets (invariant 6)', () => {
  it('are in no output, log or error of a full round at the lowest log level, and in files for their owner alone', async () => {
    using directory = createTemporaryDirectory({ isPublic: true });
    using privateDirectory = createTemporaryDirectory();
    const adminSocket = join(privateDirectory.path, 'admin.sock');
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { log_level: 'TRACE' } },
    });
    const token = /^Token: (\S+)$/m.exec(await server.commandOutput('token', 'generate'))?.[1] ?? '';
    expect(token).not.toBe('');
    await using agent = await launchAgent({
      server,
      directory: directory.path,
      joinToken: token,
      config: { agent: { log_level: 'TRACE', admin_socket_path: adminSocket } },
    });
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', 'spiffe://example.org/web'],
      ...['--selector', `unix:uid:${UID}`, '--x509-svid-ttl', '60'],
    );
    const errors: string[] = [];

    // A workload is given its key, over its own socket and nowhere else.
    using workload = await WorkloadProcess.start({ uid: UID, gid: GID });
    await workload.connect(agent.socketPath);
    const message = await waitFor('an identity', () =>
      workload.message(workload.call(FETCH)).catch(() => undefined),
    );
    const { svids } = definition.FetchX509SVID.responseDeserialize(message);
    const workloadKeys = svids.map(({ x509SvidKey }) => x509SvidKey);
    expect(workloadKeys.map(isPrivateKey)).toEqual([true]);

    // What goes wrong, with secrets in hand: tokens that are spent, unknown or taken; CSRs that are damaged.
    const key = await generatePrivateKey('ec-p256');
    const csr = await createCertificateSigningRequest(key, {
      uriNames: ['spiffe://example.org/spire/server'],
    });
    const damaged = Buffer.from(csr);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1);
    const unknownToken = 'a-token-that-nobody-made-7f3a';
    const admin = adminClient(server, AGENT);
    const minting = adminClient(server, SVID);
    for (const body of [csr, damaged, csr.subarray(0, 100)]) {
      const failure = callUnary(minting, 'MintX509SVID', { csr: body }).then(() => 'minted', errorMessage);
      errors.push(await failure);
      for (const payload of [token, unknownToken]) {
        const stream = openBidiStream(admin, 'AttestAgent', { deadlineMs: 10_000 });
        await stream.send({
          params: { data: { type: 'join_token', payload: Buffer.from(payload) }, params: { csr: body } },
        });
        errors.push(await stream.messages.next().then(() => 'attested', errorMessage));
        stream.cancel();
      }
    }
    await callUnary(admin, 'CreateJoinToken', { ttl: 600, token: unknownToken });
    errors.push(
      await callUnary(admin, 'CreateJoinToken', { ttl: 600, token: unknownToken }).then(
        () => 'made',
        errorMessage,
      ),
    );
    expect(errors).not.toContain('minted');
    expect(errors).not.toContain('attested');

    // What both tell of themselves to whoever looks for a fault, with complaints about all of that.
    const snapshots = [
      join(privateDirectory.path, 'server.json'),
      join(privateDirectory.path, 'agent.json'),
    ] as const;
    await server.commandOutput('debug', 'snapshot', '--output', snapshots[0]);
    const ofAgent = ['debug', 'snapshot', '--output', snapshots[1], '--socket-path', adminSocket];
    expect(await runCommand('agent', ofAgent)).toMatchObject({ code: 0 });

    // An agent with a damaged identity and a spent token complains about both.
    const serverContents = await contentsUnder(join(directory.path, 'server'));
    const agentContents = await contentsUnder(agent.dataDirectory);
    for (const mode of [
      ...(await modesUnder(join(directory.path, 'server'))),
      ...(await modesUnder(agent.dataDirectory)),
    ]) {
      if (mode.kind === 'other') continue;
      expect(mode).toEqual({ ...mode, mode: mode.kind === 'folder' ? '700' : '600' });
    }
    const serverKeys = keysIn(serverContents);
    const agentKeys = keysIn(agentContents);
    expect(serverKeys.length).toBeGreaterThan(0);
    expect(agentKeys.length).toBeGreaterThan(1);
    // The key of a workload stays on its node, that of an authority at the server, that of an agent with the agent.
    for (const workloadKey of workloadKeys) {
      expect(agentKeys.some((held) => held.equals(workloadKey))).toBe(true);
      expect(serverContents.some((bytes) => traces(workloadKey).some((trace) => bytes.includes(trace)))).toBe(
        false,
      );
      expect(serverContents.some((bytes) => bytes.includes(workloadKey.subarray(36, 68)))).toBe(false);
    }
    expect(serverContents.some((bytes) => bytes.includes(token) && !bytes.includes(agent.spiffeId))).toBe(
      false,
    );

    await server.commandOutput('agent', 'ban', '--spiffe-id', agent.spiffeId);
    await waitFor('the banned agent to end', () => !agent.process.isRunning);
    await writeFile(join(agent.dataDirectory, 'agent-svid.json'), '{"version":1,"private_key":"damaged"}');
    await agent.process.start().catch((error: unknown) => errors.push(errorMessage(error)));
    const commands = await Promise.all([
      server.command('agent', 'list'),
      server.command('agent', 'show', '--spiffe-id', agent.spiffeId),
      server.command('entry', 'show', '--output', 'json'),
      server.command('debug', 'getinfo'),
      server.command('bundle', 'show', '--format', 'spiffe'),
    ]);
    await server.stop();

    const keys = [...serverKeys, ...agentKeys, ...workloadKeys, exportPkcs8(key)].flatMap(traces);
    const csrTraces = [csr, damaged].flatMap(traces);
    // The search finds what is there, in all that was written, down to the lowest level.
    expect(() => {
      expectNoTrace(`"key":"${exportPkcs8(key).toString('base64')}"`, 'a key', keys);
    }).toThrow('a key');
    expect(server.process.output).toContain('Signed X509 SVID');
    expect(server.process.output.length).toBeLessThan(200_000);
    const outputs = [
      ['the server', server.process.output],
      ['the agent', agent.process.output],
      ['the commands', commands.map(({ stdout, stderr }) => stdout + stderr).join('\n')],
      ['the errors', errors.join('\n')],
      ...(await Promise.all(snapshots.map(async (path) => [path, await readFile(path, 'utf8')] as const))),
    ] as const;
    for (const [what, output] of outputs) {
      expectNoTrace(output, what, [
        ...keys,
        ...csrTraces,
        'PRIVATE KEY',
        'CERTIFICATE REQUEST',
        unknownToken,
      ]);
      // A join token is the last part of its agent's ID, which is no secret; alone it must not be seen.
      expectNoTrace(output.replaceAll(agent.spiffeId, '').replaceAll(`/join_token/${token}`, ''), what, [
        token,
      ]);
    }
    admin.close();
    minting.close();
  });
});
