/** What a backup says of itself: whose it is, of which moment, and the hash of each of its parts. */
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';

export const FORMAT = 1;
export const MANIFEST_NAME = 'manifest.json';
/** The hash of the manifest, which holds all the others. */
export const SEAL_NAME = 'manifest.sha256';
export const KEYS_NAME = 'keys.encrypted';

const size = z.int().min(0);
const name = z.string().regex(/^[a-z0-9_]{1,63}$/);
const digest = {
  name: z.string().min(1).max(100),
  bytes: size,
  /** Lower-case hex, of the part as it is in the file. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
};

const tablePartSchema = z.strictObject({
  kind: z.literal('table'),
  ...digest,
  table: name,
  columns: z.array(name).min(1).max(200),
  rows: size,
});

const keysPartSchema = z.strictObject({ kind: z.literal('keys'), ...digest });

const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  program: z.literal('bonafide-server'),
  version: z.string().min(1).max(100),
  /** RFC 3339. */
  created: z.iso.datetime(),
  trust_domain: parsedString(parseTrustDomain),
  database: z.enum(['sqlite', 'postgres']),
  /** Of the server that was backed up; empty with SQLite. */
  server_id: z.string().max(100),
  log_id: z.string().min(1).max(100),
  revision: size,
  /** Of the commit with that revision. */
  nonce: z.string().max(100),
  /** Names of the migrations that made the tables. */
  schema: z.array(name).min(1).max(1000),
  parts: z.array(z.discriminatedUnion('kind', [tablePartSchema, keysPartSchema])).max(200),
});

export type Manifest = z.output<typeof manifestSchema>;
export type TablePart = z.output<typeof tablePartSchema>;
export type KeysPart = z.output<typeof keysPartSchema>;

/** @throws BonafideError `failed_precondition` for one of a later format, `invalid_argument` for anything else that is none. */
export function parseManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BonafideError('invalid_argument', 'the manifest of the backup is damaged', { cause });
  }
  const format = z.looseObject({ format: z.int() }).safeParse(value).data?.format;
  if (format !== undefined && format > FORMAT) {
    throw new BonafideError(
      'failed_precondition',
      `the backup has format ${format}, this release reads format ${FORMAT}; use the release that wrote it or a later one`,
    );
  }
  const { data, error } = manifestSchema.safeParse(value);
  if (data !== undefined) return data;
  const issue = error.issues[0];
  throw new BonafideError(
    'invalid_argument',
    `the manifest of the backup is damaged: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
}

export function tableParts({ parts }: Manifest): readonly TablePart[] {
  return parts.flatMap((part) => (part.kind === 'table' ? [part] : []));
}

export function keysPart({ parts }: Manifest): KeysPart | undefined {
  return parts.find((part) => part.kind === 'keys');
}
