/** A copy of what an earlier release left behind, for the present programs to start on. */
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export const RELEASE_TRUST_DOMAIN = 'release-0-1-0.test';
const RELEASES = join(import.meta.dirname, '..', 'fixtures', 'releases');

/** What the release itself said that it held. */
export interface HeldByRelease {
  /** A join token that nobody has spent. */
  readonly token: string;
  readonly agentId: string;
  readonly bannedAgentId: string;
  readonly entries: readonly { readonly id: string; readonly path: string }[];
  readonly bundleJwks: { readonly keys: readonly { readonly kid?: string; readonly use: string }[] };
}

/** @param directory gets the folders `server` and `agent`, private as the programs want them. */
export async function copyRelease(
  release: string,
  database: 'sqlite' | 'postgres',
  directory: string,
): Promise<HeldByRelease> {
  const source = join(RELEASES, release, database);
  for (const name of ['server', 'agent']) {
    await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
    await cp(join(source, name), join(directory, name), { recursive: true });
    await makePrivate(join(directory, name));
  }
  if (database === 'sqlite') {
    const path = join(directory, 'server', 'datastore.sqlite3');
    await writeFile(path, gunzipSync(await readFile(`${path}.gz`)), { mode: 0o600 });
    await rm(`${path}.gz`);
  }
  return JSON.parse(await readFile(join(source, 'holds.json'), 'utf8')) as HeldByRelease;
}

/** The statements that make its PostgreSQL database. */
export function releaseDump(release: string): string {
  return join(RELEASES, release, 'postgres', 'database.sql');
}

async function makePrivate(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makePrivate(join(folder, entry.name));
    else await chmod(join(folder, entry.name), 0o600);
  }
}
