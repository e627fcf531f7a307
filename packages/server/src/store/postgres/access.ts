/** A PostgreSQL with what it takes to connect to it: the files of its TLS, and who is on the other end. */
import { readFile } from 'node:fs/promises';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { PostgresTarget, PostgresTls } from './target.js';

export interface PostgresAccess {
  readonly target: PostgresTarget;
  /** Read once: a certificate that is replaced is used from the next start on. */
  readonly tls: false | ConnectionOptions;
}

/** @throws BonafideError `failed_precondition` when a file of its TLS cannot be read. */
export async function preparePostgres(target: PostgresTarget): Promise<PostgresAccess> {
  return { target, tls: await loadTls(target) };
}

async function loadTls({ tls, host }: PostgresTarget): Promise<false | ConnectionOptions> {
  if (tls.kind === 'off') return false;
  const ca =
    tls.authorityPath === undefined ? undefined : await readTlsFile('sslrootcert', tls.authorityPath);
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: tls.verify !== 'none',
    // The driver would have it check addresses as if they were `localhost`.
    checkServerIdentity: (_name, certificate) =>
      tls.verify === 'full' ? checkServerIdentity(host, certificate) : undefined,
    ...(ca === undefined ? {} : { ca }),
    ...(await clientCredentials(tls)),
  };
}

async function clientCredentials({
  client,
}: Extract<PostgresTls, { kind: 'on' }>): Promise<{ readonly cert?: Buffer; readonly key?: Buffer }> {
  if (client === undefined) return {};
  const cert = await readTlsFile('sslcert', client.certificatePath);
  return { cert, key: await readTlsFile('sslkey', client.keyPath) };
}

async function readTlsFile(keyword: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new BonafideError(
      'failed_precondition',
      `cannot read ${keyword} of the database: ${errorMessage(error)}`,
      {
        cause: error,
      },
    );
  }
}
