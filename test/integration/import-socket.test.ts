/** `import spire --socket` and `shadow` against a server's admin API: one of ours serves the same services as SPIRE's. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { createSampleAuthorities } from '@bonafide/server/spire-import/spire-database-samples';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { programPath } from '@bonafide/testing/program-path';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attestByToken, authoritiesOf } from '../faults/admin-client.js';

const LIMIT = { limitMs: 150_000, intervalMs: 200 };

describe('a server that is taken over by its admin socket', () => {
  let directory: TemporaryDirectory;
  let source: LaunchedServer;
  let agentId: string;
  let bannedId: string;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    source = await launchServer({ directory: directory.path, name: 'source' });
    agentId = await attest();
    bannedId = await attest();
    await source.commandOutput('agent', 'ban', '--spiffe-id', bannedId);
    const bundlePath = directory.join('bundle.pem');
    await writeFile(bundlePath, await source.commandOutput('bundle', 'show'));
    await source.commandOutput('bundle', 'set', '--id', 'spiffe://other.example', '--path', bundlePath);
    const relationship = ['--trust-domain', 'other.example', '--bundle-endpoint-profile', 'https_web'];
    const url = ['--bundle-endpoint-url', 'https://other.example/bundle'];
    await source.commandOutput('federation', 'create', ...relationship, ...url);
    const details = [
      '--federates-with',
      'spiffe://other.example',
      '--hint',
      'main',
      '--x509-svid-ttl',
      '600',
    ];
    await createAtSource('first', ...details, '--dns', 'first.example.org');
    await createAtSource('second', '--entry-expiry', '4000000000', '--store-svid');
  });
  afterAll(async () => {
    await source[Symbol.asyncDispose]();
    directory.remove();
  });

  it('is left alone by a dry run, which makes no file here either', async () => {
    const { code, stdout } = await importInto('copy', '--dry-run');
    expect(stdout).toContain('entries                   : 2 created, 0 updated, 0 unchanged, 0 only here');
    expect(stdout).toContain('agents                    : 2 created');
    expect(stdout).toContain('Dry run: nothing was changed.');
    expect(code).toBe(0);
    expect(existsSync(directory.join('copy'))).toBe(false);
  });

  it('is there again in another data folder, and a second import changes nothing', async () => {
    const { stdout } = await importInto('copy', '--output', 'json');
    const { counts, not_carried: notCarried } = JSON.parse(stdout) as {
      readonly counts: Readonly<Record<string, { readonly created: number }>>;
      readonly not_carried: readonly { readonly kind: string }[];
    };
    expect(Object.fromEntries(Object.entries(counts).map(([kind, { created }]) => [kind, created]))).toEqual({
      ...{ bundles: 2, federation_relationships: 1, entries: 2, agents: 2, join_tokens: 0, authorities: 0 },
    });
    expect(notCarried.map(({ kind }) => kind)).toEqual(['join_tokens', 'agents', 'authorities']);
    expect((await importInto('copy')).stdout).toContain('Nothing to change.');
    await using copy = await launchServer({ directory: directory.path, name: 'copy' });
    for (const command of [
      ['entry', 'show'],
      ['agent', 'list'],
      ['federation', 'list'],
      ['bundle', 'list'],
    ]) {
      const [theirs, here] = await Promise.all(
        [source, copy].map((server) => server.commandOutput(...command, '--output', 'json')),
      );
      expect(JSON.parse(here ?? '')).toEqual(JSON.parse(theirs ?? ''));
    }
    const published = await authoritiesOf(copy);
    for (const authority of await authoritiesOf(source)) expect(published).toContain(authority);
  });

  it('gives its authorities too, when its keys and its journal are at hand: those that it has published', async () => {
    const { certificate, journal, keysJson, x509AuthorityId } = await createSampleAuthorities(new Date());
    const [keys, journalPath, bundle] = ['keys.json', 'journal.pem', 'more.pem'].map((name) =>
      directory.join(name),
    );
    await writeFile(keys ?? '', keysJson, { mode: 0o600 });
    await writeFile(journalPath ?? '', encodePem('SPIRE CA JOURNAL', journal));
    await writeFile(bundle ?? '', encodePem('CERTIFICATE', certificate));
    await source.commandOutput('bundle', 'append', '--path', bundle ?? '');
    const files = ['--keys', keys ?? '', '--journal', journalPath ?? ''];
    const { stdout } = await importInto('with-keys', ...files, '--output', 'json');
    const report = JSON.parse(stdout) as {
      readonly counts: { readonly authorities: { readonly created: number } };
      readonly not_carried: readonly { readonly kind: string; readonly reason: string }[];
    };
    expect(report.counts.authorities.created).toBe(1);
    const left = report.not_carried.filter(({ kind }) => kind === 'authorities');
    expect(left.map(({ reason }) => reason)).toEqual([
      'it is not in the bundle: nobody would believe what it signs',
    ]);
    await using server = await launchServer({ directory: directory.path, name: 'with-keys' });
    const active = await server.commandOutput('localauthority', 'x509', 'show');
    expect(active).toContain(x509AuthorityId);
  });

  it('is refused when it is of another trust domain', async () => {
    const { code, stderr } = await runCommand('server', [
      ...['import', 'spire', '--socket', source.socketPath],
      ...['--config', await configure('stranger', 'stranger.example')],
    ]);
    expect(stderr).toContain('is of trust domain example.org; expected stranger.example');
    expect(code).toBe(1);
  });

  it('is watched: a difference is told when it appears and when it settles, each once', async () => {
    await importInto('watched');
    await using watched = await launchServer({ directory: directory.path, name: 'watched' });
    const sockets = ['--spire-socket', source.socketPath, '--socket-path', watched.socketPath];
    await using shadow = await LaunchedProcess.launch({
      name: 'shadow',
      command: process.execPath,
      args: [programPath('server'), 'shadow', ...sockets, '--interval', '1'],
      // The authorities of each are its own: told at the second look.
      isReady: ({ output }) => output.includes('+ bundle'),
      readyLimitMs: LIMIT.limitMs,
    });
    const explain = (): string => shadow.output;
    const id = await createAtSource('third');
    const line = `entry ${id} (spiffe://example.org/third) is at SPIRE and not here; for the agent ${agentId}`;
    await waitFor('the difference', () => shadow.output.includes(` + ${line}\n`), { ...LIMIT, explain });
    await source.commandOutput('entry', 'delete', '--entry-id', id);
    await waitFor('its end', () => shadow.output.includes(` - ${line}\n`), { ...LIMIT, explain });

    await source.kill9();
    await waitFor('the trouble', () => shadow.output.includes('cannot compare, trying again'), {
      ...LIMIT,
      explain,
    });
    await source.process.start();
    const next = await createAtSource('fourth');
    await waitFor('what came after it', () => shadow.output.includes(` + entry ${next} `), {
      ...LIMIT,
      explain,
    });
    await shadow.stop();
    expect(shadow.exitCode).toBe(0);
    expect(shadow.output.split(` + ${line}\n`)).toHaveLength(2);
    expect(shadow.output.split(` - ${line}\n`)).toHaveLength(2);
  });

  /** @returns the SPIFFE ID of the new agent. */
  async function attest(): Promise<string> {
    const printed = await source.commandOutput('token', 'generate');
    const token = /^Token: (\S+)/m.exec(printed)?.[1] ?? '';
    await attestByToken(source, token, await authoritiesOf(source));
    return `spiffe://example.org/spire/agent/join_token/${token}`;
  }

  async function createAtSource(path: string, ...more: readonly string[]): Promise<string> {
    const flags = ['--parent-id', agentId, '--spiffe-id', `spiffe://example.org/${path}`];
    const all = [...flags, '--selector', `docker:label:app:${path}`, ...more];
    const printed = await source.commandOutput('entry', 'create', ...all);
    return /^Entry ID\s+: (\S+)/m.exec(printed)?.[1] ?? '';
  }

  async function configure(name: string, trustDomain: string): Promise<string> {
    const data = directory.join(name);
    const path = directory.join(`import-${name}.json`);
    const config = {
      server: { trust_domain: trustDomain, data_dir: data },
      plugins: {
        KeyManager: { disk: { keys_path: join(data, 'keys.json') } },
        NodeAttestor: { join_token: {} },
      },
    };
    await writeFile(path, JSON.stringify(config));
    return path;
  }

  async function importInto(
    name: string,
    ...more: readonly string[]
  ): Promise<Awaited<ReturnType<typeof runCommand>>> {
    const source = ['--socket', directory.join('source.sock')];
    const config = ['--config', await configure(name, 'example.org')];
    return runCommand('server', ['import', 'spire', ...source, ...config, ...more], { limitMs: 150_000 });
  }
});
