/** The files of the audit log: the one that is written, and those before it, which are kept for a while. */
import { createReadStream, createWriteStream } from 'node:fs';
import { open, readdir, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { replaceFile } from '@bonafide/shared/runtime/private-file';

/** @throws BonafideError `failed_precondition`. */
export async function openAuditFile(path: string): Promise<FileHandle> {
  try {
    // Read as well: its end is looked at.
    return await open(path, 'a+', 0o600);
  } catch (error) {
    throw new BonafideError(
      'failed_precondition',
      `cannot open the audit log ${path}: ${errorMessage(error)}; expected a file that this user may write, in a folder that is there`,
      { cause: error },
    );
  }
}

/** `audit.log` becomes `audit.log.2026-01-31T12-00-00.000Z`, which sorts by time. */
function rotatedName(path: string, at: Date, suffix = ''): string {
  return `${path}.${at.toISOString().replaceAll(':', '-')}${suffix}`;
}

const ROTATED = /^\.(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z)(\.gz)?$/;

export interface RotatedFile {
  readonly path: string;
  readonly rotatedAt: Date;
  readonly isCompressed: boolean;
}

/** Oldest first. */
export async function rotatedFiles(path: string): Promise<readonly RotatedFile[]> {
  const name = basename(path);
  const found: RotatedFile[] = [];
  for (const entry of (await readdir(dirname(path))).sort()) {
    if (!entry.startsWith(name)) continue;
    const [, stamp, gz] = ROTATED.exec(entry.slice(name.length)) ?? [];
    if (stamp === undefined) continue;
    const rotatedAt = new Date(stamp.replace(/T(\d\d)-(\d\d)-(\d\d)/, 'T$1:$2:$3'));
    found.push({ path: join(dirname(path), entry), rotatedAt, isCompressed: gz !== undefined });
  }
  return found;
}

/** The old one stays until the new one is whole. */
export async function compressFile(path: string): Promise<void> {
  const temporary = `${path}.gz.tmp`;
  await pipeline(
    createReadStream(path),
    createGzip(),
    createWriteStream(temporary, { mode: 0o600, flush: true }),
  );
  await replaceFile(temporary, `${path}.gz`);
  await unlink(path);
}

export interface Retention {
  /** Beside the one that is written. */
  readonly files: number;
  readonly seconds: number | undefined;
}

/** @returns what was removed. */
export async function removeOldFiles(
  path: string,
  retention: Retention,
  now: Date,
): Promise<readonly string[]> {
  const files = await rotatedFiles(path);
  const tooMany = files.length - retention.files;
  const oldest = retention.seconds === undefined ? undefined : now.getTime() - retention.seconds * 1000;
  const removed = files.filter(
    ({ rotatedAt }, index) => index < tooMany || (oldest !== undefined && rotatedAt.getTime() < oldest),
  );
  for (const file of removed) await unlink(file.path);
  return removed.map((file) => file.path);
}

/** Whether the path still names the file that is open: others rotate files too. */
export async function isSameFile(path: string, handle: FileHandle): Promise<boolean> {
  try {
    const [named, held] = await Promise.all([stat(path), handle.stat()]);
    return named.ino === held.ino && named.dev === held.dev;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Gives the file that ends here the name of the past. */
export async function setAside(path: string, at: Date, suffix = ''): Promise<string> {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const name = rotatedName(path, new Date(at.getTime() + attempt), suffix);
    const isTaken = await stat(name).then(
      () => true,
      () => false,
    );
    if (isTaken) continue;
    await rename(path, name);
    return name;
  }
  throw new BonafideError('unavailable', `there is no free name beside ${path}`);
}
