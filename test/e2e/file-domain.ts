/** A server and an agent whose entries get new SVIDs when a test says so, with helpers that write them to files. */
import { readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { programPath } from '@bonafide/testing/program-path';
import type { TemporaryDirectory } from '@bonafide/testing/temporary-directory';

/** Programs start side by side with those of other tests. */
export const LIMIT_MS = 120_000;

export interface FileDomain extends AsyncDisposable {
  readonly server: LaunchedServer;
  readonly agent: LaunchedAgent;
  /** An entry for the processes of this user. @returns what gives it another SVID, at once. */
  register(path: string, dnsName: string): Promise<() => Promise<void>>;
  /** @param config of the helper's file. @param folders in which a key is to be, before it is ready. */
  launchHelper(config: object, folders: readonly string[]): Promise<LaunchedProcess>;
}

export async function launchFileDomain(directory: TemporaryDirectory): Promise<FileDomain> {
  const limits = { directory: directory.path, readyLimitMs: LIMIT_MS };
  const server = await launchServer(limits);
  const agent = await launchAgent({ server, ...limits }).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return {
    server,
    agent,
    register: (path, dnsName) => register(server, agent, path, dnsName),
    launchHelper: async (config, folders) => {
      const file = directory.join('helper.json');
      await writeFile(file, JSON.stringify({ agent_address: agent.address, ...config }));
      return LaunchedProcess.launch({
        name: 'helper',
        command: process.execPath,
        args: [programPath('agent'), 'helper', '--config', file],
        readyLimitMs: LIMIT_MS,
        isReady: async () => {
          for (const folder of folders) await readFile(join(folder, 'svid_key.pem'));
          return true;
        },
      });
    },
    [Symbol.asyncDispose]: async () => {
      await agent.stop();
      await server.stop();
    },
  };
}

async function register(
  server: LaunchedServer,
  agent: LaunchedAgent,
  path: string,
  dnsName: string,
): Promise<() => Promise<void>> {
  const entry = [
    ...['--parent-id', agent.spiffeId, '--spiffe-id', `spiffe://${server.trustDomain}/${path}`],
    ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`, '--dns', dnsName],
  ];
  const output = await server.commandOutput('entry', 'create', ...entry);
  const id = /^Entry ID\s*: (\S+)$/m.exec(output)?.[1] ?? '';
  let renewals = 0;
  return async () => {
    renewals += 1;
    // Another name means another certificate.
    const name = `renewal-${renewals}.example.org`;
    await server.commandOutput('entry', 'update', '--entry-id', id, ...entry, '--dns', name);
  };
}

/** The files of one version, in the forms that TLS takes. */
export async function readCredentials(
  svid: string,
): Promise<{ readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer }> {
  const version = await realpath(join(svid, '..data'));
  return {
    ca: await readFile(join(version, 'svid_bundle.pem')),
    cert: await readFile(join(version, 'svid.pem')),
    key: await readFile(join(version, 'svid_key.pem')),
  };
}

export interface Steady {
  readonly count: number;
  readonly failures: readonly unknown[];
  /** @returns once the attempt under way is over. */
  stop(): Promise<void>;
}

/** Attempts it again and again, with short pauses. */
export function steadily(attempt: () => Promise<void>): Steady {
  const failures: unknown[] = [];
  let count = 0;
  const over = new AbortController();
  const done = (async () => {
    while (!over.signal.aborted) {
      await attempt().then(
        () => (count += 1),
        (error: unknown) => failures.push(error),
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  return {
    get count() {
      return count;
    },
    failures,
    stop: () => {
      over.abort();
      return done;
    },
  };
}
