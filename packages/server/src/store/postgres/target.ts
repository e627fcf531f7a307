/** Which PostgreSQL to talk to and how: a URL, or the keywords and values of libpq, as SPIRE has them. */
import { isIP } from 'node:net';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseKeywordValues } from './libpq-keywords.js';

export interface PostgresTarget {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Undefined: PGPASSWORD of the environment. */
  readonly password: string | undefined;
  readonly tls: PostgresTls;
  readonly applicationName: string | undefined;
  readonly connectTimeoutSeconds: number | undefined;
}

export type PostgresTls =
  | { readonly kind: 'off' }
  | {
      readonly kind: 'on';
      /** `none`: encrypted, but nobody knows to whom. */
      readonly verify: 'none' | 'authority' | 'full';
      readonly authorityPath: string | undefined;
      readonly client: { readonly certificatePath: string; readonly keyPath: string } | undefined;
    };

const KEYWORDS = [
  'host',
  'port',
  'dbname',
  'user',
  'password',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'connect_timeout',
  'application_name',
  'fallback_application_name',
] as const;

type Keyword = (typeof KEYWORDS)[number];
type Fields = ReadonlyMap<Keyword, string>;

const DEFAULT_PORT = 5432;
const LONGEST_TEXT = 4096;

/** What it throws never quotes the text, which may hold a password. @throws BonafideError `invalid_argument`. */
export function parsePostgresTarget(text: string): PostgresTarget {
  if (text.length > LONGEST_TEXT) throw invalidArgument('the database url is too long');
  const pairs = /^postgres(ql)?:\/\//.test(text) ? pairsOfUrl(text) : parseKeywordValues(text);
  const fields = new Map<Keyword, string>();
  for (const [name, value] of pairs) {
    const keyword = KEYWORDS.find((known) => known === name);
    if (keyword === undefined) {
      throw invalidArgument(
        `${JSON.stringify(name)} of the database is not known; expected ${KEYWORDS.join(', ')}`,
      );
    }
    if (fields.has(keyword)) throw invalidArgument(`${keyword} of the database is given twice`);
    if (/[\0\r\n]/.test(value))
      throw invalidArgument(`${keyword} of the database has a line break or a zero byte`);
    fields.set(keyword, value);
  }
  return targetOf(fields);
}

/** Without secrets, for logs and errors. */
export function describeTarget({ host, port, database }: PostgresTarget): string {
  return `database ${database} at ${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

function pairsOfUrl(text: string): readonly (readonly [string, string])[] {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) {
    throw invalidArgument(
      'the database url cannot be read; expected postgres://user:password@host:port/database with one host, and special characters in percent encoding',
    );
  }
  if (url.hash !== '')
    throw invalidArgument('the database url has a # that is not in percent encoding (%23)');
  const parts: readonly (readonly [string, string])[] = [
    ['user', url.username],
    ['password', url.password],
    ['host', url.hostname.replace(/^\[(.*)\]$/, '$1')],
    ['port', url.port],
    ['dbname', url.pathname.replace(/^\//, '')],
  ];
  return [
    ...parts.filter(([, value]) => value !== '').map(([name, value]) => [name, decode(value)] as const),
    ...url.searchParams.entries(),
  ];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidArgument('the database url has a percent encoding that is not UTF-8'); // its own error would quote the text
  }
}

function targetOf(fields: Fields): PostgresTarget {
  const host = fields.get('host') ?? 'localhost';
  if (host.includes(',')) throw invalidArgument('the database has several hosts; expected one');
  return {
    host,
    port: wholeNumber(fields, 'port', 65_535) ?? DEFAULT_PORT,
    database: required(fields, 'dbname'),
    user: required(fields, 'user'),
    password: fields.get('password'),
    tls: tlsOf(fields, host),
    applicationName: fields.get('application_name') ?? fields.get('fallback_application_name'),
    connectTimeoutSeconds: wholeNumber(fields, 'connect_timeout', 3600),
  };
}

function required(fields: Fields, keyword: Keyword): string {
  const value = fields.get(keyword) ?? '';
  if (value === '') throw invalidArgument(`${keyword} of the database is missing`);
  return value;
}

function wholeNumber(fields: Fields, keyword: Keyword, most: number): number | undefined {
  const text = fields.get(keyword);
  if (text === undefined) return undefined;
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) {
    throw invalidArgument(`${keyword} of the database is not a whole number from 1 to ${most}`);
  }
  return value;
}

/** As SPIRE: encrypted unless it says otherwise. A mode that would fall back to plain text is no mode. */
function tlsOf(fields: Fields, host: string): PostgresTls {
  const authorityPath = fields.get('sslrootcert');
  const certificatePath = fields.get('sslcert');
  const keyPath = fields.get('sslkey');
  if ((certificatePath === undefined) !== (keyPath === undefined)) {
    throw invalidArgument('sslcert and sslkey of the database belong together; one of them is missing');
  }
  const client =
    certificatePath === undefined || keyPath === undefined ? undefined : { certificatePath, keyPath };
  const mode = fields.get('sslmode') ?? (host.startsWith('/') ? 'disable' : 'require');
  if (mode === 'disable') return { kind: 'off' };
  if (host.startsWith('/')) throw invalidArgument('a Unix socket has no TLS; expected sslmode disable');
  const on = { kind: 'on', authorityPath, client } as const;
  switch (mode) {
    case 'require':
      // As libpq: who names an authority wants it to count.
      return { ...on, verify: authorityPath === undefined ? 'none' : 'authority' };
    case 'verify-ca':
      return { ...on, verify: 'authority' };
    case 'verify-full':
      return { ...on, verify: 'full' };
    default:
      throw invalidArgument(
        `sslmode ${JSON.stringify(mode)} of the database is not accepted; expected disable, require, verify-ca or verify-full`,
      );
  }
}
