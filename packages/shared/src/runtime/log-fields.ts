/** What stands beside the message of a log line: names as SPIRE writes them (`spiffe_id`, `error`), and no secrets. */
import { BonafideError } from '../errors/bonafide-error.js';

export const REDACTED = '[redacted]';

/** The names under which a secret could be logged by mistake; care at the call sites is the first line of defence. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'token',
  'join_token',
  'private_key',
  'key',
  'csr',
  'password',
  'passphrase',
]);
/** Those of the line itself. */
const TAKEN_NAMES: ReadonlySet<string> = new Set(['time', 'level', 'msg']);
const DEEPEST = 6;
const MOST_CAUSES = 8;
/** Names come from the code, so that there are few. */
const MOST_KNOWN_NAMES = 1000;

/** Where SPIRE has another word than the code. */
const known = new Map<string, string>([
  ['err', 'error'],
  ['dataDirectory', 'data_dir'],
  ['notAfter', 'expires_at'],
  ['serialNumber', 'serial_num'],
  ['serial_number', 'serial_num'],
]);

/** Code says `spiffeId` and `err`, and this alone decides what is written. A logger of its own (`child`) has to be given these. */
export function logFields(fields: object): Record<string, unknown> {
  const written: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    const name = logName(key);
    written[name] = SECRET_NAMES.has(name) ? REDACTED : logValue(value, DEEPEST);
    if (name === 'error' && isUnexpected(value)) written['error_stack'] = value.stack;
  }
  return written;
}

function logName(key: string): string {
  const before = known.get(key);
  if (before !== undefined) return before;
  const name = newName(key);
  if (known.size < MOST_KNOWN_NAMES) known.set(key, name);
  return name;
}

function newName(key: string): string {
  const name = key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toLowerCase();
  return TAKEN_NAMES.has(name) ? `fields.${name}` : name;
}

function logValue(value: unknown, depth: number): unknown {
  if (value instanceof Error) return errorText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.map((item) => logValue(item, depth - 1));
  if (!isPlain(value)) return value;
  const written: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const name = logName(key);
    written[name] = SECRET_NAMES.has(name) ? REDACTED : logValue(item, depth - 1);
  }
  return written;
}

/** A date and a URL write themselves. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The message, and those of its causes. */
function errorText(error: Error): string {
  const texts = [error.message];
  let { cause } = error;
  for (let count = 0; count < MOST_CAUSES && cause instanceof Error; count += 1) {
    if (!texts.some((text) => text.includes((cause as Error).message))) texts.push(cause.message);
    ({ cause } = cause);
  }
  return texts.join(': ');
}

/** Neither one of ours nor one of the system or a library, which have a `code`: only its stack tells where it comes from. */
function isUnexpected(value: unknown): value is Error {
  return value instanceof Error && !(value instanceof BonafideError) && !('code' in value);
}
