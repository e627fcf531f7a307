import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';

const LIMIT_MS = 60_000;

type Change = (config: ConfigText) => void;

interface ConfigText {
  readonly server: Record<string, unknown>;
  readonly plugins: Record<string, unknown>;
  access?: object;
}

/** Whole or not at all, as an editor saves. */
function rewrite({ configPath }: LaunchedServer, change: Change): void {
  const config = JSON.parse(readFileSync(configPath, 'utf8')) as ConfigText;
  change(config);
  writeFileSync(`${configPath}.new`, JSON.stringify(config));
  renameSync(`${configPath}.new`, configPath);
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

async function reload(
  server: LaunchedServer,
  expected: 'configuration reloaded' | 'was not reloaded',
  said = (): string => server.process.output,
): Promise<void> {
  const before = count(said(), expected);
  process.kill(server.process.pid, 'SIGHUP');
  await waitFor(`a line with ${expected}`, () => count(said(), expected) > before || undefined, {
    limitMs: LIMIT_MS,
    explain: said,
  });
}

async function level(server: LaunchedServer): Promise<string> {
  return await server.commandOutput('logger', 'get');
}

describe('a server that is told to read its configuration again', { timeout: 180_000 }, () => {
  it('takes over what it can, names what needs a restart, and keeps everything when one thing is wrong', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({ directory: directory.path });
    expect(await level(server)).toContain('debug');

    rewrite(server, ({ server: own }) => {
      own['log_level'] = 'WARN';
      own['ratelimit'] = { attestation: false };
      own['federation'] = {
        federates_with: {
          'other.example': {
            bundle_endpoint_url: 'https://127.0.0.1:1/',
            bundle_endpoint_profile: { https_web: {} },
          },
        },
      };
      own['log_level'] = 'INFO';
    });
    await reload(server, 'configuration reloaded');
    expect(await level(server)).toContain('info');
    await waitFor(
      'the new relationship to be followed',
      () => server.process.output.includes('other.example') || undefined,
      {
        limitMs: LIMIT_MS,
      },
    );

    rewrite(server, ({ server: own }) => {
      own['log_level'] = 'ERROR';
      own['node_admission'] = { approval_required: [{ attestor: 'no_such_attestor' }] };
    });
    await reload(server, 'was not reloaded');
    expect(server.process.output).toContain(String.raw`names the node attestor \"no_such_attestor\"`);
    expect(await level(server)).toContain('info');

    writeFileSync(server.configPath, '{"server": {"trust_domian": "example.org"}}');
    await reload(server, 'was not reloaded');
    expect(server.process.output).toMatch(
      /server\.json:1:13: server\.trust_domian: unknown key; did you mean trust_domain\?/,
    );
    expect(await server.commandOutput('healthcheck')).toContain('Server is healthy.');

    const told = (): readonly string[] =>
      readFileSync(join(directory.path, 'server', 'audit', 'audit.log'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('"event":"configuration_reloaded"'));
    await waitFor('all reloads in the audit log', () => told().length >= 3, { limitMs: LIMIT_MS });
    expect(told().map((line) => (JSON.parse(line) as { result: string }).result)).toEqual([
      'success',
      'failure',
      'failure',
    ]);
    expect(told()[0]).toContain('server.log_level');
    expect(told()[1]).toContain('no_such_attestor');
  });

  it('opens its audit log anew, for whoever has moved it away', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({ directory: directory.path });
    const path = join(directory.path, 'server', 'audit', 'audit.log');
    renameSync(path, `${path}.1`);
    process.kill(server.process.pid, 'SIGHUP');
    const isTold = (): boolean =>
      existsSync(path) && readFileSync(path, 'utf8').includes('configuration_reloaded');
    await waitFor('the reload in the new file', isTold, {
      limitMs: LIMIT_MS,
      explain: () => server.process.output,
    });
    expect(readFileSync(`${path}.1`, 'utf8')).toContain('server_started');
  });

  it('names the keys that need a restart in one warning and serves on as it was started', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({ directory: directory.path });
    rewrite(server, ({ server: own }) => {
      own['bind_port'] = 1;
      own['ca_ttl'] = '48h';
      own['default_x509_svid_ttl'] = '2h';
    });
    await reload(server, 'configuration reloaded');
    expect(server.process.output).toMatch(
      /needs a restart: (?:server\.bind_port, server\.ca_ttl|server\.ca_ttl, server\.bind_port)/,
    );
    expect(server.process.output).not.toMatch(/needs a restart: .*default_x509_svid_ttl/);
    expect(await server.commandOutput('healthcheck')).toContain('Server is healthy.');
  });

  it('has the roles of the new file from the next call on, and those before when one is wrong', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({ directory: directory.path });
    expect(await server.commandOutput('access', 'list')).toBe('Found 0 roles\n');
    const role = {
      name: 'team-a',
      spiffe_id_prefix: 'spiffe://example.org/team-a/',
      verbs: ['read'],
      members: [{ uid: 41_001 }],
    };
    rewrite(server, (config) => {
      config.access = { roles: [role] };
    });
    await reload(server, 'configuration reloaded');
    const listed = await server.commandOutput('access', 'list');
    expect(listed).toContain('Members          : uid:41001\n');
    rewrite(server, (config) => {
      config.access = { roles: [role, { ...role, may_set: { admin: true } }] };
    });
    await reload(server, 'was not reloaded');
    expect(await server.commandOutput('access', 'list')).toBe(listed);
  });

  it('opens its log anew, for whoever has moved it away', async () => {
    using directory = createTemporaryDirectory();
    const logFile = join(directory.path, 'server.log');
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { log_file: logFile } },
    });
    renameSync(logFile, `${logFile}.1`);
    process.kill(server.process.pid, 'SIGHUP');
    await waitFor(
      'lines in the new file',
      () => readFileSync(logFile, 'utf8').includes('configuration reloaded') || undefined,
      {
        limitMs: LIMIT_MS,
      },
    );
    expect(readFileSync(`${logFile}.1`, 'utf8')).toContain('Starting Server APIs');
  });

  it('fails no call and leaks no descriptor over two hundred reloads', async () => {
    using directory = createTemporaryDirectory();
    // Of what a program prints only the end is kept, and this prints much.
    const logFile = directory.join('server.log');
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { log_file: logFile } },
    });
    const said = (): string => readFileSync(logFile, 'utf8');
    const descriptors = (): number => readdirSync(`/proc/${server.process.pid}/fd`).length;
    await reload(server, 'configuration reloaded', said);
    await server.commandOutput('entry', 'show');
    const before = descriptors();
    const done = new AbortController();
    const calls = (async () => {
      let made = 0;
      while (!done.signal.aborted) {
        await server.commandOutput('entry', 'show');
        made += 1;
      }
      return made;
    })();
    for (let round = 0; round < 200; round += 1) {
      rewrite(server, ({ server: own }) => {
        own['ratelimit'] = { attestation: round % 2 === 0 };
        own['log_level'] = round % 2 === 0 ? 'INFO' : 'DEBUG';
      });
      await reload(server, 'configuration reloaded', said);
    }
    done.abort();
    expect(await calls).toBeGreaterThan(0);
    await waitFor('descriptors to be as few as before', () => descriptors() <= before + 2 || undefined, {
      limitMs: LIMIT_MS,
      explain: () => `${before} before, ${descriptors()} now`,
    });
  });
});
