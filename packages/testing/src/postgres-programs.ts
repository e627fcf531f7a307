/** Where PostgreSQL's programs are on this machine, and the ordinary account they run as when the tests run as root. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { canRunAsOthers, type Account } from './run-as.js';

export type PostgresProgram = 'postgres' | 'initdb' | 'createdb' | 'pg_isready' | 'pg_basebackup' | 'psql';

/** Debian keeps them off the PATH, a folder a version. */
const DEBIAN_FOLDER = '/usr/lib/postgresql';
const LIMIT_MS = 120_000;

/** @throws Error naming the package when PostgreSQL is not installed. */
export function postgresProgram(program: PostgresProgram): string {
  for (const folder of programFolders()) {
    if (existsSync(join(folder, 'initdb')) && existsSync(join(folder, program))) return join(folder, program);
  }
  throw new Error(
    `${program} was not found, neither on the PATH nor below ${DEBIAN_FOLDER}: install PostgreSQL 13 or newer (Debian: apt-get install postgresql)`,
  );
}

function programFolders(): readonly string[] {
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'postgres'))
    .filter((path) => existsSync(path))
    .map((path) => dirname(realpathSync(path)));
  const versions = existsSync(DEBIAN_FOLDER) ? readdirSync(DEBIAN_FOLDER).map(Number) : [];
  const newestFirst = versions.filter((version) => version > 0).sort((a, b) => b - a);
  return [...onPath, ...newestFirst.map((version) => join(DEBIAN_FOLDER, String(version), 'bin'))];
}

/** PostgreSQL refuses to run as root. Undefined: as whoever runs this. */
export function postgresAccount(): Account | undefined {
  if (!canRunAsOthers()) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const user = users.find(([candidate]) => candidate === name);
    if (user !== undefined) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new Error('PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody');
}

/** Runs one of the programs to its end. @throws Error with what it wrote. */
export function runPostgresProgram(
  program: PostgresProgram,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const { uid, gid } = postgresAccount() ?? {};
    execFile(
      postgresProgram(program),
      args,
      {
        env: { ...process.env, ...environment },
        cwd: '/',
        timeout: LIMIT_MS,
        ...(uid === undefined ? {} : { uid }),
        ...(gid === undefined ? {} : { gid }),
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${program} failed: ${error.message}\n${stdout}${stderr}`, { cause: error }));
      },
    );
  });
}
